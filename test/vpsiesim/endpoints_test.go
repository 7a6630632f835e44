package vpsiesim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

func TestEndpoints(t *testing.T) {
	const vm = `"osIdentifier":"` + vpsiesim.DefaultOSImage + `","dcIdentifier":"` + vpsiesim.DefaultDatacenter +
		`","hostname":"asg-a","projectId":"` + vpsiesim.DefaultProject + `"`
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	cases := map[string]struct {
		method, path, body string
		header             []string
		switches           []string
		status             int
		want               string
	}{
		"Profile":              {method: "GET", path: "/apps/v2/profile/user", status: 200, want: `"email"`},
		"Datacenters":          {method: "GET", path: "/apps/v2/datacenter?offset=0&limit=100", status: 200, want: `"dc_name":"Helsinki"`},
		"DatacenterPage":       {method: "GET", path: "/apps/v2/datacenter?offset=1&limit=1", status: 200, want: `"total":2`},
		"DefaultPage":          {method: "GET", path: "/apps/v2/datacenter", switches: []string{"defaultPageSize=1"}, status: 200, want: `Uusimaa"}],"error"`},
		"Projects":             {method: "GET", path: "/apps/v2/projects", status: 200, want: `"count":1`},
		"Project":              {method: "GET", path: "/apps/v2/projects/" + vpsiesim.DefaultProject, status: 200, want: `"is_default":1`},
		"ProjectMissing":       {method: "GET", path: "/apps/v2/projects/nope", status: 200, want: `"data":false`},
		"Categories":           {method: "GET", path: "/api/v2/plans/category", status: 200, want: `Shared CPU`},
		"Plans":                {method: "POST", path: "/apps/v2/resources", header: form, body: "dcIdentifier=" + vpsiesim.DefaultDatacenter + "&osIdentifier=x&planCatIdentifier=a2000000-66aa-11ef-9c51-0242ac110005&name=query&description=query&isCustom=0", status: 200, want: `"price":14.60`},
		"PlansByJSON":          {method: "POST", path: "/apps/v2/resources", body: `{"dcIdentifier":"x"}`, status: 500, want: "lost in the clouds"},
		"Clusters":             {method: "GET", path: "/apps/v2/k8s/cluster/all", status: 200, want: `"cluster_name":"HEL-Kubernetes-49ab"`},
		"Cluster":              {method: "GET", path: clusterPath, status: 200, want: `"kube_version":"1.37.2"`},
		"ClusterMaster":        {method: "GET", path: clusterPath, status: 200, want: `"node_type":1`},
		"ClusterSplit":         {method: "GET", path: clusterPath, switches: []string{"nodeFields=split"}, status: 200, want: `"masters":[{`},
		"ClusterMissing":       {method: "GET", path: "/apps/v2/k8s/cluster/byId/nope", status: 404, want: "kubernetes not found"},
		"Offers":               {method: "POST", path: "/apps/v2/k8s/offers", body: `{"dcIdentifier":"` + vpsiesim.DefaultDatacenter + `"}`, status: 200, want: `"id":21`},
		"OffersPriceAsText":    {method: "POST", path: "/apps/v2/k8s/offers", body: `{"dcIdentifier":"` + vpsiesim.DefaultDatacenter + `"}`, switches: []string{"priceType=string"}, status: 200, want: `"price":"14.60"`},
		"OffersWithoutBody":    {method: "POST", path: "/apps/v2/k8s/offers", status: 500, want: "lost in the clouds"},
		"Groups":               {method: "GET", path: groupsPath, status: 200, want: `"data":[]`},
		"GroupUnknownSize":     {method: "POST", path: "/apps/v2/k8s/cluster/add/group", body: strings.Replace(addGroup22, "22", "99", 1), status: 400, want: "select the right size"},
		"AddUnknownGroup":      {method: "POST", path: clusterPath + "/add/slave/group/77", status: 404, want: "Group not found"},
		"AddGroupByUUID":       {method: "POST", path: clusterPath + "/add/slave/group/7e01f0aa-44dd-11f0-8f00-0242ac110005", status: 404, want: "Group not found"},
		"AddDefaultGroup":      {method: "POST", path: clusterPath + "/add/slave", status: 200, want: `"data":true`},
		"AddReplyObject":       {method: "POST", path: clusterPath + "/add/slave", switches: []string{"nodeAddReply=object"}, status: 200, want: `"identifier"`},
		"AddOverCap":           {method: "POST", path: clusterPath + "/add/slave", switches: []string{"workerCap=0"}, status: 400, want: "Worker nodes count exceeds the allowed limit"},
		"AddSoldOut":           {method: "POST", path: clusterPath + "/add/slave", switches: []string{"soldOut=22"}, status: 400, want: "not available"},
		"DeleteSlaveUnknown":   {method: "DELETE", path: clusterPath + "/delete/slave", body: `{"identifier":"nope"}`, status: 404, want: "not found"},
		"DeleteSlaveFalse":     {method: "DELETE", path: clusterPath + "/delete/slave", body: `{"identifier":"nope"}`, switches: []string{"deleteUnknownSlave=false"}, status: 200, want: `"data":false`},
		"DeleteSlaveNoBody":    {method: "DELETE", path: clusterPath + "/delete/slave", status: 500, want: "lost in the clouds"},
		"ReduceEmpty":          {method: "DELETE", path: clusterPath + "/reduce", status: 404, want: "Node not found"},
		"ReduceSlaveNoGroup":   {method: "DELETE", path: clusterPath + "/reduce/slave", body: `{"groupId":77}`, status: 404, want: "Group not found"},
		"DeleteGroupNoSurvey":  {method: "DELETE", path: "/apps/v2/k8s/cluster/delete/group/x", status: 500, want: `"error":true`},
		"DeleteGroupUnknown":   {method: "DELETE", path: "/apps/v2/k8s/cluster/delete/group/x", body: "{" + survey + "}", status: 404, want: "Group not found"},
		"DeleteCluster":        {method: "DELETE", path: clusterPath, body: "{" + survey + "}", status: 200, want: `"data":true`},
		"CreateClusterInvalid": {method: "POST", path: "/apps/v2/k8s/create/cluster", body: `{}`, status: 500, want: "lost in the clouds"},
		"VMs":                  {method: "GET", path: "/apps/v2/vm", status: 200, want: `"data":[]`},
		"VMsOtherPrefix":       {method: "GET", path: "/api/v2/vm", status: 200, want: `"data":[]`},
		"VMsWithManaged":       {method: "GET", path: "/apps/v2/vm", switches: []string{"vmListManaged=true"}, status: 200, want: "HEL-Kubernetes-49ab-master-"},
		"VMUnknown":            {method: "GET", path: "/apps/v2/vm/nope", status: 404, want: "not found"},
		"VMPending":            {method: "GET", path: "/apps/v2/vm/pending", status: 200, want: `"data":[]`},
		"VMWrongPackage":       {method: "POST", path: "/apps/v2/vm", body: `{"resourceIdentifier":"22",` + vm + `}`, status: 400, want: "right package"},
		"VMMissingField":       {method: "POST", path: "/apps/v2/vm", body: `{` + vm + `}`, status: 500, want: "lost in the clouds"},
		"VMNumericProject":     {method: "POST", path: "/apps/v2/vm", body: `{"projectId":4242}`, status: 400, want: "projectId"},
		"VMStringFlagsRefused": {method: "POST", path: "/apps/v2/vm", body: `{"addPublicIpV4":"1",` + vm + `}`, switches: []string{"vmFlags=intsOnly"}, status: 400, want: "addPublicIpV4"},
		"VMDeleteNoSurvey":     {method: "DELETE", path: "/apps/v2/vm", body: `{"vmIdentifier":"x"}`, status: 500, want: `"error":true`},
		"VMDeleteNoPassword":   {method: "DELETE", path: "/apps/v2/vm", body: `{"vmIdentifier":"x",` + survey + `}`, status: 200, want: `"error":true,"message":"You entered the wrong password"`},
		"VMDeleteUnknown":      {method: "DELETE", path: "/apps/v2/vm", body: `{"vmIdentifier":"x","password":"vpsiesim-password",` + survey + `}`, status: 404, want: "not found"},
		"Attachable":           {method: "GET", path: "/apps/v2/storages/vms", status: 200, want: `"type":"k8s"`},
		"VirtualMachines":      {method: "GET", path: "/apps/v2/virtualMachines", status: 200, want: `"data":[]`},
		"VMsOfUser":            {method: "GET", path: "/apps/v2/vms/all/user", status: 200, want: "HEL-Kubernetes-49ab-master-"},
		"TagsAdd":              {method: "POST", path: "/apps/v2/tags/add", body: `{"entity":"boxes","identifier":"x","tags":["a"]}`, status: 200, want: `"data":true`},
		"Tags":                 {method: "GET", path: "/apps/v2/tags", status: 200, want: `"data":{}`},

		"InventedVMs":        {method: "GET", path: "/v2/vms", status: 404, want: `{"code":404,"error":true,"message":"Not found"}`},
		"InventedOfferings":  {method: "GET", path: "/v2/offerings", status: 404, want: "Not found"},
		"InventedOAuth":      {method: "POST", path: "/v2/oauth/token", status: 404, want: "Not found"},
		"JSONResources":      {method: "POST", path: "/api/v2/resources", body: "{}", status: 404, want: "Not found"},
		"UnknownNoToken":     {method: "GET", path: "/nope", header: []string{"Vpsie-Auth", ""}, status: 404, want: "Not found"},
		"WrongMethod":        {method: "PUT", path: "/apps/v2/vm", status: 404, want: "Not found"},
		"NotBelowOtherRoot":  {method: "GET", path: "/api/v2/k8s/cluster/all", status: 404, want: "Not found"},
		"NoToken":            {method: "GET", path: "/apps/v2/vm", header: []string{"Vpsie-Auth", ""}, status: 401, want: "Please authenticate"},
		"WrongToken":         {method: "GET", path: "/apps/v2/vm", header: []string{"Vpsie-Auth", "x"}, status: 401, want: "Please authenticate"},
		"Bearer":             {method: "GET", path: "/apps/v2/vm", header: []string{"Vpsie-Auth", "", "Authorization", "Bearer " + vpsiesim.DefaultToken}, status: 200, want: `"data":[]`},
		"BearerRefused":      {method: "GET", path: "/apps/v2/vm", header: []string{"Vpsie-Auth", "", "Authorization", "Bearer " + vpsiesim.DefaultToken}, switches: []string{"authHeader=vpsie-auth"}, status: 401, want: "Please authenticate"},
		"VpsieAuthRefused":   {method: "GET", path: "/apps/v2/vm", switches: []string{"authHeader=bearer"}, status: 401, want: "Please authenticate"},
		"Login":              {method: "POST", path: "/apps/v2/auth/from/api", body: `{"clientId":"id","clientSecret":"secret"}`, header: []string{"Vpsie-Auth", ""}, status: 200, want: `"token":{"access":{"expires":"`},
		"LoginForm":          {method: "POST", path: "/apps/v2/auth/from/api", body: "clientId=id&clientSecret=secret", header: form, status: 200, want: `"refresh":{`},
		"LoginOtherReply":    {method: "POST", path: "/apps/v2/auth/from/api", body: `{"clientId":"id","clientSecret":"secret"}`, switches: []string{"loginReply=accessToken"}, status: 200, want: `{"accessToken":{`},
		"LoginFormRefused":   {method: "POST", path: "/apps/v2/auth/from/api", body: "clientId=id&clientSecret=secret", header: form, switches: []string{"loginBody=json"}, status: 401, want: "authenticate"},
		"LoginWrong":         {method: "POST", path: "/apps/v2/auth/from/api", body: `{"clientId":"id","clientSecret":"no"}`, status: 401, want: "authenticate"},
		"ErrorsAt200":        {method: "GET", path: "/apps/v2/vm/nope", switches: []string{"errorForm=ok200"}, status: 200, want: `"code":404,"error":true`},
		"ErrorsAsHTML":       {method: "GET", path: "/apps/v2/vm/nope", switches: []string{"errorForm=html502"}, status: 502, want: "<html>"},
		"ErrorsAsText":       {method: "GET", path: "/apps/v2/vm/nope", switches: []string{"errorForm=string"}, status: 404, want: `"error":"NotFound"`},
		"TooMany":            {method: "GET", path: "/apps/v2/vm", switches: []string{"tooManyEvery=1"}, status: 429, want: "Too many"},
		"SurveyNotNeeded":    {method: "DELETE", path: clusterPath, switches: []string{"missingDeleteStatistic=accepted"}, status: 200, want: `"data":true`},
		"PasswordNotNeeded":  {method: "DELETE", path: "/apps/v2/vm", body: `{"vmIdentifier":"x",` + survey + `}`, switches: []string{"vmDeletePassword=optional"}, status: 404, want: "not found"},
		"BodyTooLarge":       {method: "POST", path: "/apps/v2/tags/add", body: strings.Repeat("x", 1<<20+1), status: 413, want: `"error":true`},
		"StatusUnknown":      {method: "GET", path: "/apps/v2/vm/status/%20nope", status: 404, want: "not found"},
		"StopUnknown":        {method: "POST", path: "/apps/v2/vm/stop", body: `{"vmIdentifier":"x"}`, status: 404, want: "not found"},
		"TrailingSlash":      {method: "GET", path: "/apps/v2/datacenter/", status: 200, want: "Helsinki"},
		"NoCleaningOfPath":   {method: "GET", path: "/apps/v2//vm", status: 404, want: "Not found"},
		"AddMasterToNothing": {method: "POST", path: clusterPath + "/add/master/group/9", status: 404, want: "Group not found"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := start(t, instant(t, tc.switches...))
			a := c.do(tc.method, tc.path, tc.body, tc.header...)
			if a.status != tc.status || !strings.Contains(a.text, tc.want) {
				t.Errorf("got %d %s\nwant %d with %s", a.status, a.text, tc.status, tc.want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	c := start(t, instant(t, "tooManyEvery=2", "retryAfterSeconds=7"))
	if a := c.do("GET", "/apps/v2/vm", ""); a.status != http.StatusOK {
		t.Errorf("first call: %d", a.status)
	}
	a := c.do("GET", "/apps/v2/vm", "")
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "7" {
		t.Errorf("second call: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}

func TestDeleteWithBodyOverTCP(t *testing.T) {
	c := start(t, instant(t))
	server := httptest.NewServer(c.sim.Handler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "DELETE", server.URL+clusterPath, strings.NewReader("{"+survey+"}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Vpsie-Auth", vpsiesim.DefaultToken)
	rep, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = rep.Body.Close()
	if clusters := c.sim.Truth().Clusters; rep.StatusCode != http.StatusOK || len(clusters) != 0 {
		t.Errorf("status %d, clusters %v", rep.StatusCode, clusters)
	}
}

func FuzzBodies(f *testing.F) {
	paths := []string{
		"/apps/v2/auth/from/api", "/apps/v2/resources", "/apps/v2/vm", "/apps/v2/tags/add", "/apps/v2/tags/edit",
		"/apps/v2/tags/delete", "/apps/v2/k8s/offers", "/apps/v2/k8s/create/cluster", "/apps/v2/k8s/cluster/add/group",
		clusterPath, clusterPath + "/add/slave", clusterPath + "/delete/slave", clusterPath + "/reduce/slave",
		clusterPath + "/reduce", groupsPath, "/apps/v2/vm/stop", "/apps/v2/vm/x", "/apps/v2/k8s/cluster/delete/group/x",
	}
	for i := range paths {
		f.Add(uint8(i), uint8(i), "", []byte(`{"clusterIdentifier":[],"deleteStatistic":{},"groupId":1e99,"projectId":-1,"tags":[1,null]}`))
	}
	f.Add(uint8(0), uint8(1), "/../%2f", []byte("clientId=%zz"))
	methods := []string{"GET", "POST", "PUT", "DELETE", "PATCH"}
	f.Fuzz(func(t *testing.T, method, path uint8, suffix string, body []byte) {
		c := start(t, instant(t))
		req := httptest.NewRequest(methods[int(method)%len(methods)], "/", strings.NewReader(string(body)))
		req.URL.Path = paths[int(path)%len(paths)] + suffix
		req.Header.Set("Vpsie-Auth", vpsiesim.DefaultToken)
		if len(body)%2 == 0 {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		rep := httptest.NewRecorder()
		c.sim.Handler().ServeHTTP(rep, req)
		if text := rep.Body.String(); !strings.HasPrefix(text, "{") || !strings.Contains(text, `"error":`) {
			t.Errorf("%s %q: %d %s", req.Method, req.URL.Path, rep.Code, text)
		}
	})
}
