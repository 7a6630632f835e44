package vpsiesim_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// pass lets d go by, and what is due at its end happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestLifeOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		booter := newFakeBooter()
		c := start(t, vpsiesim.Config{Booter: booter})
		defer c.sim.Close()
		began := time.Now()
		add := c.addGroup()
		if a := c.ok("POST", add, ""); a.text != `{"data":true,"error":false}` {
			t.Errorf("reply to an add: %s", a.text)
		}
		if n := len(c.workers()); n != 0 {
			t.Errorf("%d workers before ListDelay", n)
		}
		pass(time.Second)
		workers := c.workers()
		if len(workers) != 1 {
			t.Fatalf("%d workers after ListDelay", len(workers))
		}
		node := workers[0]
		hostname, identifier := node["hostname"].(string), node["identifier"].(string)
		if !regexp.MustCompile(`^HEL-Kubernetes-49ab-slave-[0-9a-f]{4}$`).MatchString(hostname) {
			t.Errorf("hostname %q", hostname)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-11f1-8f00-0242ac110005$`).MatchString(identifier) {
			t.Errorf("identifier %q", identifier)
		}
		if node["node_type"] != 2.0 || node["cpu"] != 2.0 || node["ram"] != 4096.0 {
			t.Errorf("node %v", node)
		}
		name := strings.ToLower(hostname)
		if exists, _ := booter.running(name); exists {
			t.Error("registered before BootDelay")
		}
		pass(3 * time.Second)
		if _, runs := booter.running(name); !runs {
			t.Error("not registered after BootDelay")
		}
		booter.pods[name] = 4
		pass(time.Hour - 4*time.Second)
		c.ok("DELETE", clusterPath+"/delete/slave", `{"identifier":"`+identifier+`"}`)
		if n := len(c.workers()); n != 1 {
			t.Errorf("%d workers before DeleteDelay", n)
		}
		pass(time.Second)
		if _, runs := booter.running(name); runs || len(c.workers()) != 0 {
			t.Error("still there after DeleteDelay")
		}
		if a := c.do("DELETE", clusterPath+"/delete/slave", `{"identifier":"`+identifier+`"}`); a.status != 404 {
			t.Errorf("second deletion: %d", a.status)
		}

		truth := c.sim.Truth()
		m, ok := truth.Find(identifier)
		if !ok || m.State != "gone" || m.PodsAtDeletion != 4 || m.HowDeleted != vpsiesim.DeletedByIdentifier || m.Foreign {
			t.Errorf("ledger row %+v", m)
		}
		if !strings.HasPrefix(m.RequestedBy, "tester/1 token:") || strings.Contains(m.RequestedBy, vpsiesim.DefaultToken) {
			t.Errorf("requested by %q", m.RequestedBy)
		}
		for what, got := range map[time.Duration]time.Time{
			0: m.RequestedAt, time.Second: m.ListedAt, 4 * time.Second: m.RegisteredAt,
			time.Hour: m.DeleteRequestedAt, time.Hour + time.Second: m.GoneAt,
		} {
			if got.Sub(began) != what {
				t.Errorf("a time is %v after the start, want %v", got.Sub(began), what)
			}
		}
		// 2 vCPU and 4 GiB cost 0.04 an hour, and it was listed for exactly one.
		if truth.Money.CostTotal.String() != "0.040000" || truth.Money.CostPerHour != 0 {
			t.Errorf("money %v", truth.Money)
		}
		if truth.Counts.Alive != 0 || truth.Counts.Launched != 1 || truth.Counts.Deleted != 1 || truth.Counts.DeletedWithPods != 1 {
			t.Errorf("counts %+v", truth.Counts)
		}
	})
}

func TestBootIsRetriedWhileKubernetesIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		booter := newFakeBooter()
		booter.setAway(true)
		c := start(t, vpsiesim.Config{Booter: booter})
		defer c.sim.Close()
		add := c.addGroup()
		c.ok("POST", add, "")
		c.ok("POST", add, "")
		pass(2 * time.Minute)
		truth := c.sim.Truth()
		if truth.Machines[0].BootError == "" || truth.Counts.Registered != 0 {
			t.Errorf("machine %+v", truth.Machines[0])
		}
		// One dies before Kubernetes is back and must not register afterwards.
		c.ok("DELETE", clusterPath+"/delete/slave", `{"identifier":"`+truth.Machines[0].Identifier+`"}`)
		pass(2 * time.Second)
		booter.setAway(false)
		pass(time.Minute)
		if _, runs := booter.running(truth.Machines[0].NodeName()); runs {
			t.Error("a machine that is gone runs a kubelet")
		}
		if _, runs := booter.running(truth.Machines[1].NodeName()); !runs {
			t.Error("the other machine never registered")
		}
		if m := c.sim.Truth().Machines[0]; m.PodsAtDeletion != vpsiesim.PodsUnknown || m.State != "gone" {
			t.Errorf("machine %+v", m)
		}
	})
}

func TestNodeSwitches(t *testing.T) {
	cases := map[string]struct {
		switches   []string
		state      string
		listed     int
		registered int
	}{
		"Once":     {nil, "registered", 1, 1},
		"Never":    {[]string{"nodeAppears=never"}, "lost", 0, 0},
		"Twice":    {[]string{"nodeAppears=twice"}, "registered", 2, 2},
		"NoNode":   {[]string{"nodeRegisters=false"}, "listed", 1, 0},
		"Vanished": {[]string{"soldOut=22", "capacityExhaustion=vanish"}, "lost", 0, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := start(t, vpsiesim.Config{Switches: with(t, vpsiesim.DefaultSwitches(), tc.switches...)})
				defer c.sim.Close()
				c.ok("POST", c.addGroup(), "")
				pass(10 * time.Second)
				truth := c.sim.Truth()
				if n := len(c.workers()); n != tc.listed || truth.Counts.Registered != tc.registered || truth.Machines[0].State != tc.state {
					t.Errorf("%d listed, counts %+v, state %q", n, truth.Counts, truth.Machines[0].State)
				}
			})
		})
	}
}

func TestWorkerCapCountsRequests(t *testing.T) {
	c := start(t, vpsiesim.Config{})
	add := c.addGroup()
	for range 10 {
		c.ok("POST", add, "")
	}
	if a := c.do("POST", add, ""); a.status != 400 {
		t.Errorf("eleventh add: %d %s", a.status, a.text)
	}
	if counts := c.sim.Truth().Counts; counts.AddsRequested != 11 || counts.AddsAccepted != 10 || counts.Pending != 10 {
		t.Errorf("counts %+v", counts)
	}
}

func TestNodesCount(t *testing.T) {
	for name, want := range map[string]float64{"nodesCountRequested=false": 0, "nodesCountRequested=true": 1} {
		c := start(t, vpsiesim.Config{Switches: with(t, vpsiesim.DefaultSwitches(), name)})
		c.ok("POST", c.addGroup(), "")
		if got := c.ok("GET", groupsPath, "").rows(t)[0]["nodes_count"]; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestSameSizeGroup(t *testing.T) {
	c := start(t, instant(t))
	c.addGroup()
	if a := c.do("POST", "/apps/v2/k8s/cluster/add/group", addGroup22); a.status != 400 || !has(a, "Group small has same selected Size") {
		t.Errorf("second group: %d %s", a.status, a.text)
	}
	c = start(t, instant(t, "sameSizeGroup=accepted"))
	c.addGroup()
	c.addGroup()
}

func TestReduceChoosesTheVictim(t *testing.T) {
	for name, victim := range map[string]int{"oldest": 0, "newest": 2} {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, vpsiesim.Config{Switches: with(t, vpsiesim.DefaultSwitches(), "reduceVictim="+name)})
			defer c.sim.Close()
			add := c.addGroup()
			for range 3 {
				c.ok("POST", add, "")
				pass(5 * time.Second)
			}
			group := add[strings.LastIndex(add, "/")+1:]
			c.ok("DELETE", clusterPath+"/reduce/slave", `{"groupId":`+group+`}`)
			pass(5 * time.Second)
			if m := c.sim.Truth().Machines[victim]; m.HowDeleted != vpsiesim.DeletedByReduce || m.State != "gone" {
				t.Errorf("%s: machine %d is %+v", name, victim, m)
			}
		})
	}
}

func TestDeleteGroupTakesItsNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, vpsiesim.Config{})
		defer c.sim.Close()
		c.ok("POST", c.addGroup(), "")
		pass(5 * time.Second)
		group := c.ok("GET", groupsPath, "").rows(t)[0]
		c.ok("DELETE", "/apps/v2/k8s/cluster/delete/group/"+group["identifier"].(string), "{"+survey+"}")
		pass(5 * time.Second)
		if m := c.sim.Truth().Machines[0]; m.HowDeleted != vpsiesim.DeletedWithGroup || m.State != "gone" {
			t.Errorf("machine %+v", m)
		}
		if row := c.ok("GET", groupsPath, "").rows(t)[0]; row["is_deleted"] != 1.0 || row["dropped_on"] == nil {
			t.Errorf("group %v", row)
		}
	})
}

func TestCreateCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, vpsiesim.Config{})
		defer c.sim.Close()
		offer := c.ok("POST", "/apps/v2/k8s/offers", `{"dcIdentifier":"`+vpsiesim.DefaultDatacenter+`"}`).rows(t)[1]
		c.ok("POST", "/apps/v2/k8s/create/cluster", `{"clusterName":"HEL-Two","dcIdentifier":"`+vpsiesim.DefaultDatacenter+
			`","nodesCountMaster":1,"nodesCountSlave":2,"vpcId":5,"kuberVer":"1.37.2","resourceIdentifier":"`+
			offer["identifier"].(string)+`","projectIdentifier":"`+vpsiesim.DefaultProject+`"}`)
		if n := len(c.ok("GET", "/apps/v2/k8s/cluster/all", "").rows(t)); n != 1 {
			t.Errorf("%d clusters at once", n)
		}
		pass(5 * time.Second)
		rows := c.ok("GET", "/apps/v2/k8s/cluster/all", "").rows(t)
		if len(rows) != 2 || rows[1]["slaveCount"] != 2.0 || rows[1]["count"] != 3.0 {
			t.Errorf("clusters %v", rows)
		}
	})
}

func TestExchangedTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := instant(t, "tokenLifetime=1m")
		c := start(t, cfg)
		defer c.sim.Close()
		a := c.ok("POST", "/apps/v2/auth/from/api", `{"clientId":"id","clientSecret":"secret"}`)
		token := a.body["token"].(map[string]any)["access"].(map[string]any)["token"].(string)
		if a := c.do("GET", "/apps/v2/vm", "", "Vpsie-Auth", "", "Authorization", "Bearer "+token); a.status != 200 {
			t.Errorf("fresh token: %d", a.status)
		}
		pass(time.Minute)
		if a := c.do("GET", "/apps/v2/vm", "", "Vpsie-Auth", token); a.status != 401 {
			t.Errorf("expired token: %d", a.status)
		}
	})
}

func TestCloseStopsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		booter := newFakeBooter()
		c := start(t, vpsiesim.Config{Booter: booter})
		c.ok("POST", c.addGroup(), "")
		c.sim.Close()
		pass(time.Hour)
		if m := c.sim.Truth().Machines[0]; m.State != "requested" || len(booter.nodes) != 0 {
			t.Errorf("machine %+v", m)
		}
	})
}
