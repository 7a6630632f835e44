package kubesimtest

import (
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func readingCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"GetOfWhatIsNotThere":           getMissing,
		"ListIsSortedAndKnowsItsState":  listSorted,
		"ListComesInPages":              listPages,
		"ListSelectsByLabels":           listByLabels,
		"ListSelectsByFields":           listByFields,
		"ListRefusesUnknownFields":      listUnknownField,
		"ListOfCustomResources":         listCustom,
		"DefinitionsAreInstalled":       listDefinitions,
		"KindsAreDiscovered":            discovered,
		"ListNeedsAStateThatIsReached":  listTooNew,
		"GetReturnsKindAndUnsetOptions": getCustom,
	}
}

func getMissing(k *kit) {
	err := k.Get(k.ctx, client.ObjectKey{Namespace: k.ns, Name: "missing"}, &corev1.ConfigMap{})
	k.refused(err, metav1.StatusReasonNotFound, http.StatusNotFound)
	err = k.Get(k.ctx, client.ObjectKey{Namespace: k.ns, Name: "missing"}, &v1beta1.VPSieNode{})
	k.refused(err, metav1.StatusReasonNotFound, http.StatusNotFound)
}

func names[T any, P interface {
	*T
	client.Object
}](items []T) []string {
	var out []string
	for i := range items {
		out = append(out, P(&items[i]).GetName())
	}
	return out
}

func listSorted(k *kit) {
	var newest *corev1.ConfigMap
	for _, name := range []string{"b", "c", "a"} {
		newest = configMap(name, map[string]string{"in": "list"})
		k.make(newest)
	}
	var list corev1.ConfigMapList
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.MatchingLabels{"in": "list"}))
	if got, want := names(list.Items), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		k.Errorf("the list is %q, want %q", got, want)
	}
	if revision(k, list.ResourceVersion) < revision(k, newest.ResourceVersion) {
		k.Errorf("the list is of revision %s, before the last write %s", list.ResourceVersion, newest.ResourceVersion)
	}
}

func listPages(k *kit) {
	const total, limit = 5, 2
	for i := range total {
		k.make(configMap(fmt.Sprintf("page-%d", i), map[string]string{"in": "pages"}))
	}
	var got, token []string
	version := ""
	for next := ""; ; {
		var list corev1.ConfigMapList
		k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.MatchingLabels{"in": "pages"}, client.Limit(limit), client.Continue(next)))
		if version != "" && list.ResourceVersion != version {
			k.Errorf("a page is of revision %s, the first was of %s", list.ResourceVersion, version)
		}
		if next == "" {
			// What is written while a client pages is not in its list.
			k.make(configMap("page-9", map[string]string{"in": "pages"}))
		}
		version = list.ResourceVersion
		got, token = append(got, names(list.Items)...), append(token, list.Continue)
		if next = list.Continue; next == "" {
			break
		}
	}
	if want := []string{"page-0", "page-1", "page-2", "page-3", "page-4"}; !slices.Equal(got, want) {
		k.Errorf("the pages hold %q, want %q", got, want)
	}
	if len(token) != 3 {
		k.Errorf("there were %d pages, want 3", len(token))
	}
}

func listByLabels(k *kit) {
	k.make(configMap("both", map[string]string{"a": "1", "b": "2"}), configMap("one", map[string]string{"a": "1"}))
	var list corev1.ConfigMapList
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.MatchingLabels{"a": "1", "b": "2"}))
	if got := names(list.Items); !slices.Equal(got, []string{"both"}) {
		k.Errorf("the selector chose %q", got)
	}
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.HasLabels{"a"}))
	if got := names(list.Items); !slices.Equal(got, []string{"both", "one"}) {
		k.Errorf("the selector chose %q", got)
	}
}

func listByFields(k *kit) {
	node := k.ns + "-node"
	bound := unscheduled("bound", nil)
	bound.Spec.NodeName = node
	k.make(bound, unscheduled("waiting", nil), unscheduled("ended", nil))
	ended := unscheduled("ended", nil)
	ended.Namespace = k.ns
	k.read(ended)
	ended.Status.Phase = corev1.PodSucceeded
	k.must(k.Status().Update(k.ctx, ended))
	for selector, want := range map[string][]string{
		"spec.nodeName=" + node:                         {"bound"},
		"spec.nodeName=,status.phase=Pending":           {"waiting"},
		"status.phase!=Pending":                         {"ended"},
		"metadata.name=waiting":                         {"waiting"},
		"metadata.namespace=" + k.ns + ",spec.nodeName": nil,
	} {
		options := &client.ListOptions{Namespace: k.ns, Raw: &metav1.ListOptions{FieldSelector: selector}}
		var list corev1.PodList
		err := k.List(k.ctx, &list, options)
		if want == nil {
			k.refused(err, metav1.StatusReasonBadRequest, http.StatusBadRequest)
			continue
		}
		k.must(err)
		if got := names(list.Items); !slices.Equal(got, want) {
			k.Errorf("%s chose %q, want %q", selector, got, want)
		}
	}
	var everywhere corev1.PodList
	k.must(k.List(k.ctx, &everywhere, client.MatchingFields{"spec.nodeName": node}))
	if got := names(everywhere.Items); !slices.Equal(got, []string{"bound"}) {
		k.Errorf("the node has %q in all namespaces", got)
	}
}

func listUnknownField(k *kit) {
	for _, list := range []client.ObjectList{&corev1.PodList{}, &corev1.ConfigMapList{}, &v1beta1.VPSieNodeList{}} {
		err := k.List(k.ctx, list, client.InNamespace(k.ns), client.MatchingFields{"spec.nothing": "x"})
		k.refused(err, metav1.StatusReasonBadRequest, http.StatusBadRequest)
	}
}

func listCustom(k *kit) {
	k.make(machine("b"), machine("a"))
	var list v1beta1.VPSieNodeList
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns)))
	if got := names(list.Items); !slices.Equal(got, []string{"a", "b"}) {
		k.Errorf("the list is %q", got)
	}
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.MatchingFields{"metadata.name": "b"}))
	if got := names(list.Items); !slices.Equal(got, []string{"b"}) {
		k.Errorf("the selector chose %q", got)
	}
}

func listDefinitions(k *kit) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinitionList"})
	k.must(k.List(k.ctx, &list))
	for _, want := range []string{"nodegroups.autoscaler.vpsie.com", "vpsienodes.autoscaler.vpsie.com"} {
		if !slices.Contains(names(list.Items), want) {
			k.Errorf("the definition %s is missing", want)
		}
	}
}

func discovered(k *kit) {
	for o, namespaced := range map[client.Object]bool{
		&corev1.Pod{}: true, &corev1.Node{}: false, &corev1.Namespace{}: false, &v1beta1.NodeGroup{}: true, &v1beta1.VPSieNode{}: true,
	} {
		got, err := k.IsObjectNamespaced(o)
		k.must(err)
		if got != namespaced {
			k.Errorf("%T is namespaced: %v", o, got)
		}
	}
	if _, err := k.RESTMapper().RESTMapping(schema.GroupKind{Group: "missing.example.com", Kind: "Missing"}); err == nil {
		k.Error("a group that does not exist was found")
	}
}

func listTooNew(k *kit) {
	clients, err := kubernetes.NewForConfig(k.Config)
	k.must(err)
	// A client that is not told otherwise does as the answer says and tries again.
	err = clients.CoreV1().RESTClient().Get().Namespace(k.ns).Resource("configmaps").
		Param("resourceVersion", "4000000000000").MaxRetries(0).Do(k.ctx).Error()
	k.refused(err, metav1.StatusReasonTimeout, http.StatusGatewayTimeout, string(metav1.CauseTypeResourceVersionTooLarge)+" ")
}

func getCustom(k *kit) {
	k.make(machine("one"))
	var u unstructured.Unstructured
	u.SetGroupVersionKind(v1beta1.GroupVersion.WithKind("VPSieNode"))
	k.must(k.Get(k.ctx, client.ObjectKey{Namespace: k.ns, Name: "one"}, &u))
	if u.GetKind() != "VPSieNode" || u.GetAPIVersion() != v1beta1.GroupVersion.String() {
		k.Errorf("the object calls itself %s %s", u.GetAPIVersion(), u.GetKind())
	}
	if _, found, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "retirement"); found {
		k.Error("a field that nobody set is there")
	}
}
