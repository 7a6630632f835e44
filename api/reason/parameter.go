package reason

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is how the value of a parameter is written.
type Type string

// Types of parameters.
const (
	Count          Type = "count"
	Integer        Type = "integer"
	Micros         Type = "micros"
	Percent        Type = "percent"
	Time           Type = "time"
	Duration       Type = "duration"
	Name           Type = "name"
	NameList       Type = "names"
	NamespacedName Type = "namespace/name"
	Machine        Type = "machine"
)

// Types are all types there are, and how their values are written. A value is not empty, except where that is said.
var Types = []struct {
	Type    Type
	Meaning string
}{
	{Count, "An integer from zero on."},
	{Integer, "An integer, which may be negative."},
	{Micros, "Money: an integer from zero on, in millionths of the currency's unit."},
	{Percent, "An integer from zero on, without a sign for percent."},
	{Time, "RFC 3339 in UTC, to the second."},
	{Duration, "As Go prints it, such as 15m0s."},
	{Name, "The name of one thing."},
	{NameList, "At most 16 names, separated by commas; +N at the end counts those left out."},
	{NamespacedName, "A namespace, a slash and a name."},
	{Machine, "VPSie's identifier of a machine, empty while there is none."},
}

// NamesMax bounds the names that a list has, and ValueBytesMax a value, because objects carry records in their status.
const (
	NamesMax      = 16
	ValueBytesMax = 512
)

// Parameter is a value that records carry for programs.
type Parameter struct {
	Name    string
	Type    Type
	Meaning string
	// Kinds are those of the records that carry it, all that may carry the code where it is empty.
	Kinds []Kind
	// Optional says that the value is not always known; a record lacks the parameter then.
	Optional bool
}

// isOf reports whether records of a kind carry the parameter.
func (p Parameter) isOf(kind Kind) bool { return len(p.Kinds) == 0 || slices.Contains(p.Kinds, kind) }

// String is the parameter as pages and command lines list it.
func (p Parameter) String() string {
	var notes []string
	for _, k := range p.Kinds {
		notes = append(notes, string(k))
	}
	if p.Optional {
		notes = append(notes, "if known")
	}
	text := p.Name + " (" + string(p.Type)
	if len(notes) > 0 {
		text += "; " + strings.Join(notes, ", ")
	}
	return text + "): " + p.Meaning
}

// Values are the parameters of a record by name, each written as its type asks for.
type Values map[string]string

// CountOf writes a Count or Percent.
func CountOf[T int | int32 | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// IntegerOf writes an Integer.
func IntegerOf(n int32) string { return strconv.FormatInt(int64(n), 10) }

// TimeOf writes a Time.
func TimeOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// NamesOf writes a NameList in the order given. It keeps to NamesMax and ValueBytesMax.
func NamesOf(names []string) string {
	const rest = len(",+2147483647")
	bytes, shown := 0, 0
	for shown < min(len(names), NamesMax) && bytes+len(names[shown])+1 <= ValueBytesMax-rest {
		bytes += len(names[shown]) + 1
		shown++
	}
	text := strings.Join(names[:shown], ",")
	if more := len(names) - shown; more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s,+%d", text, more), ",")
	}
	return text
}

// UntilOf are the values of what may end at a time; none where that is unknown.
func UntilOf(t time.Time) Values {
	if t.IsZero() {
		return nil
	}
	return Values{ParamUntil: TimeOf(t)}
}

// Names of parameters.
const (
	ParamShape                   = "shape"
	ParamNode                    = "node"
	ParamNodes                   = "nodes"
	ParamOfferings               = "offerings"
	ParamPods                    = "pods"
	ParamMachine                 = "machine"
	ParamOffering                = "offering"
	ParamUntil                   = "until"
	ParamMinNodes                = "minNodes"
	ParamMaxNodes                = "maxNodes"
	ParamMaxNodesPerStep         = "maxNodesPerStep"
	ParamLeaving                 = "leaving"
	ParamLimitMilliCPU           = "limitMilliCPU"
	ParamLimitMemoryBytes        = "limitMemoryBytes"
	ParamLimitMonthlyPriceMicros = "limitMonthlyPriceMicros"
	ParamUsedMilliCPU            = "usedMilliCPU"
	ParamUsedMemoryBytes         = "usedMemoryBytes"
	ParamUsedMonthlyPriceMicros  = "usedMonthlyPriceMicros"
	ParamPriority                = "priority"
	ParamCutoff                  = "cutoff"
	ParamCluster                 = "cluster"
	ParamDatacenter              = "datacenter"
	ParamLaunchDeadline          = "launchDeadline"
	ParamUtilization             = "utilization"
	ParamThreshold               = "threshold"
	ParamPod                     = "pod"
	ParamBudgets                 = "budgets"
	ParamReplacement             = "replacement"
	ParamReplaced                = "replaced"
	ParamMissing                 = "missing"
	ParamKnown                   = "known"
	ParamMachines                = "machines"
	ParamHostname                = "hostname"
)

// OfKind are the parameters that every record of a kind carries besides those of its code, of a subject where that is named.
type OfKind struct {
	Kind       Kind
	Subject    string
	Parameters []Parameter
}

var (
	ofNode  = Parameter{Name: ParamNode, Type: Name, Meaning: "the Node."}
	ofNodes = "how many machines."
)

// Kinds are the parameters of the kinds. Records about a VPSieNode carry ofMachine as well.
var Kinds = []OfKind{
	{ScaleUp, "", []Parameter{{Name: ParamNodes, Type: Count, Meaning: ofNodes}, {Name: ParamOfferings, Type: NameList, Meaning: "their sizes."}}},
	{NoScaleUp, "Pods", []Parameter{{Name: ParamShape, Type: Name, Meaning: "the shape of the pods, as in the feed."}}},
	{NoScaleUp, "NodeGroup", []Parameter{{Name: ParamNodes, Type: Count, Meaning: "how many machines the NodeGroup lacks of minNodes, or would launch."}}},
	{ScaleDown, "", []Parameter{ofNode, {Name: ParamPods, Type: Count, Meaning: "how many pods have to move."}}},
	{NoScaleDown, "", []Parameter{ofNode}},
	{Repair, "", []Parameter{ofNode}},
	{Launch, "", []Parameter{ofMachine, {Name: ParamOffering, Type: Name, Meaning: "the size."}}},
	{Adoption, "", []Parameter{ofMachine}},
}

var ofMachine = Parameter{Name: ParamMachine, Type: Machine, Meaning: "VPSie's identifier of the machine, empty while there is none."}

// ParametersOf are those of a record of a kind about a subject, with a code: each once, by name.
func ParametersOf(kind Kind, subject string, code Code) []Parameter {
	var all []Parameter
	if subject == "VPSieNode" {
		all = append(all, ofMachine)
	}
	for _, k := range Kinds {
		if k.Kind == kind && (k.Subject == "" || k.Subject == subject) {
			all = append(all, k.Parameters...)
		}
	}
	for _, p := range carried[code] {
		if p.isOf(kind) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Parameter) bool { return a.Name == b.Name })
}
