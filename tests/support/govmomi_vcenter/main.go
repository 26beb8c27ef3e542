// A vCenter for tests: the simulator of govmomi, with snapshot tasks that end when a test says so.
//
// It listens on a free port of 127.0.0.1 and prints it. Below /control a test looks behind the API and changes what
// people or hosts would change: it lets tasks end, well or with a fault, and sets the state of machines and datastores.
package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/ioutil"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const answer = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` +
	`<CreateSnapshot_TaskResponse xmlns="urn:vim25"><returnval type="Task">%s</returnval></CreateSnapshot_TaskResponse>` +
	`</soapenv:Body></soapenv:Envelope>`

type envelope struct {
	Body struct {
		Create *types.CreateSnapshot_Task `xml:"CreateSnapshot_Task"`
	} `xml:"Body"`
}

type held struct {
	task    *simulator.Task
	request *types.CreateSnapshot_Task
}

var (
	mutex   sync.Mutex
	waiting []held
	started = map[string]int{}
	faults  = map[string]types.BaseMethodFault{
		"ApplicationQuiesceFault": &types.ApplicationQuiesceFault{},
		"NoDiskSpace":             &types.NoDiskSpace{Datastore: "LocalDS_0"},
		"GenericVmConfigFault":    &types.GenericVmConfigFault{Reason: "simulated"},
	}
)

func machine(id string) *simulator.VirtualMachine {
	found, _ := simulator.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: id}).(*simulator.VirtualMachine)
	return found
}

func hold(request *types.CreateSnapshot_Task) string {
	mutex.Lock()
	defer mutex.Unlock()
	task := simulator.CreateTask(machine(request.This.Value), "createSnapshot", nil)
	simulator.Map.Update(task, []types.PropertyChange{{Name: "info.state", Val: types.TaskInfoStateRunning}})
	waiting = append(waiting, held{task, request})
	started[request.This.Value]++
	return task.Self.Value
}

func release(fault types.BaseMethodFault) {
	mutex.Lock()
	defer mutex.Unlock()
	manager := simulator.Map.Get(*simulator.Map.Get(types.ManagedObjectReference{
		Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance).Content.TaskManager).(*simulator.TaskManager)
	for _, one := range waiting {
		request := one.request
		one.task.Execute = func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
			if fault != nil {
				return nil, fault
			}
			before := manager.RecentTask
			machine(request.This.Value).CreateSnapshotTask(request)
			manager.RecentTask = before // the simulator's own task of it is not shown: the held one stands for it
			snapshot := machine(request.This.Value).Snapshot.CurrentSnapshot
			return *snapshot, nil
		}
		one.task.Run()
	}
	waiting = nil
}

func control(w http.ResponseWriter, r *http.Request) {
	given := r.URL.Query()
	switch r.URL.Path {
	case "/control/started":
		mutex.Lock()
		defer mutex.Unlock()
		_ = json.NewEncoder(w).Encode(started)
	case "/control/machines":
		found := map[string]string{}
		for _, one := range simulator.Map.All("VirtualMachine") {
			found[one.Reference().Value] = one.Entity().Name
		}
		_ = json.NewEncoder(w).Encode(found)
	case "/control/release":
		release(faults[given.Get("fault")])
	case "/control/machine":
		vm := machine(given.Get("id"))
		if name := given.Get("name"); name != "" {
			vm.Name = name
		}
		if tools := given.Get("tools"); tools != "" {
			vm.Guest.ToolsRunningStatus = tools
		}
		if power := given.Get("power"); power != "" {
			vm.Runtime.PowerState = types.VirtualMachinePowerState(power)
		}
		if connection := given.Get("connection"); connection != "" {
			vm.Runtime.ConnectionState = types.VirtualMachineConnectionState(connection)
		}
	case "/control/datastore":
		store := simulator.Map.Any("Datastore").(*simulator.Datastore)
		if free, err := strconv.ParseInt(given.Get("free"), 10, 64); err == nil {
			store.Summary.FreeSpace = free
		}
		if accessible, err := strconv.ParseBool(given.Get("accessible")); err == nil {
			store.Summary.Accessible = accessible
		}
		if mode := given.Get("mode"); mode != "" {
			store.Summary.MaintenanceMode = mode
		}
	default:
		http.NotFound(w, r)
	}
}

func main() {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		panic(err)
	}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(os.Args[1], os.Args[2])}
	model.Service.NewServer()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > 8 && r.URL.Path[:9] == "/control/" {
			control(w, r)
			return
		}
		body, err := ioutil.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = ioutil.NopCloser(bytes.NewReader(body))
		var asked envelope
		if bytes.Contains(body, []byte("<CreateSnapshot_Task ")) && xml.Unmarshal(body, &asked) == nil && asked.Body.Create != nil {
			if vm := machine(asked.Body.Create.This.Value); vm != nil {
				w.Header().Set("Content-Type", "text/xml")
				fmt.Fprintf(w, answer, hold(asked.Body.Create))
				return
			}
		}
		model.Service.ServeMux.ServeHTTP(w, r)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
		<-ended
		model.Remove()
		os.Exit(0)
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, handler))
}
