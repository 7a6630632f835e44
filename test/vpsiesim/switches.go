package vpsiesim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written in JSON as Go text, for instance "1.5s".
type Duration time.Duration

// MarshalText writes d as Go text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a non-negative Go duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = errors.New("must not be negative")
	}
	*d = Duration(v)
	return err
}

// Switches choose between the behaviours that sources on VPSie disagree about; the first word of oneof is the default.
type Switches struct {
	AuthHeader    string   `json:"authHeader" oneof:"both vpsie-auth bearer"`
	TokenLifetime Duration `json:"tokenLifetime"`
	LoginReply    string   `json:"loginReply" oneof:"token accessToken"`
	LoginBody     string   `json:"loginBody" oneof:"both json form"`

	ErrorForm         string   `json:"errorForm" oneof:"status ok200 html502 string"`
	TooManyEvery      int      `json:"tooManyEvery" min:"0"`
	RetryAfterSeconds int      `json:"retryAfterSeconds" min:"0"`
	DefaultPageSize   int      `json:"defaultPageSize" min:"0"`
	PriceType         string   `json:"priceType" oneof:"number string"`
	Latency           Duration `json:"latency"`
	LatencyJitter     Duration `json:"latencyJitter"`

	VMCreateReply          string `json:"vmCreateReply" oneof:"empty object true lost"`
	VMFlags                string `json:"vmFlags" oneof:"all stringsOnly intsOnly"`
	NumericProjectID       string `json:"numericProjectId" oneof:"refused accepted"`
	VMListing              string `json:"vmListing" oneof:"gap noGap longGap vanish stuck"`
	DuplicateHostname      string `json:"duplicateHostname" oneof:"accepted refused"`
	RepeatedProcessID      string `json:"repeatedProcessId" oneof:"accepted refused deduplicated"`
	VMDelete               string `json:"vmDelete" oneof:"async immediate rowStays"`
	VMDeletePassword       string `json:"vmDeletePassword" oneof:"required optional"`
	VMListManaged          bool   `json:"vmListManaged"`
	MissingDeleteStatistic string `json:"missingDeleteStatistic" oneof:"error500 accepted"`

	NodeAddReply        string `json:"nodeAddReply" oneof:"true object"`
	NodeAppears         string `json:"nodeAppears" oneof:"once never twice"`
	NodeRegisters       bool   `json:"nodeRegisters"`
	NodeFields          string `json:"nodeFields" oneof:"union noIdentifier split"`
	NodesCountRequested bool   `json:"nodesCountRequested"`
	SameSizeGroup       string `json:"sameSizeGroup" oneof:"refused accepted"`
	WorkerCap           int    `json:"workerCap" min:"0"`
	ReduceVictim        string `json:"reduceVictim" oneof:"oldest newest random"`
	DeleteUnknownSlave  string `json:"deleteUnknownSlave" oneof:"404 false"`

	// SoldOut lists sizes that cannot be launched now: offer ids or plan identifiers.
	SoldOut            []string `json:"soldOut"`
	CapacityExhaustion string   `json:"capacityExhaustion" oneof:"refused vanish"`

	// ListLag is how old the state is that listings of a cluster show.
	ListLag Duration `json:"listLag"`
	// ListHides is how many of a cluster's workers, in percent, each listing leaves out at random.
	ListHides int `json:"listHides" min:"0" max:"100"`

	ListDelay        Duration `json:"listDelay"`
	BootDelay        Duration `json:"bootDelay"`
	DeleteDelay      Duration `json:"deleteDelay"`
	DeleteNodeObject bool     `json:"deleteNodeObject"`
	// AllocatableShare shrinks what a booted machine reports, in percent of what was launched.
	AllocatableShare int `json:"allocatableShare" min:"1" max:"100"`
}

// DefaultSwitches returns the behaviour that VPSie most likely has.
func DefaultSwitches() Switches {
	s := Switches{
		TokenLifetime: Duration(time.Hour), NodeRegisters: true, WorkerCap: 10, AllocatableShare: 100,
		ListDelay: Duration(time.Second), BootDelay: Duration(3 * time.Second), DeleteDelay: Duration(time.Second),
		SoldOut: []string{},
	}
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if words := v.Type().Field(i).Tag.Get("oneof"); words != "" {
			v.Field(i).SetString(strings.Fields(words)[0])
		}
	}
	return s
}

// Merge returns s with the fields of a JSON object replaced; unknown names and bad values are refused, all at once.
func (s Switches) Merge(patch []byte) (Switches, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(patch, &fields); err != nil {
		return s, fmt.Errorf("switches must be a JSON object: %w", err)
	}
	s.SoldOut = slices.Clone(s.SoldOut)
	v, known := reflect.ValueOf(&s).Elem(), switchFields()
	var problems []string
	for name, raw := range fields {
		i, ok := known[name]
		if !ok {
			problems = append(problems, fmt.Sprintf("unknown switch %q", name))
			continue
		}
		if err := setSwitch(v.Field(i), v.Type().Field(i), raw); err != nil {
			problems = append(problems, fmt.Sprintf("switch %q: %v", name, err))
		}
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return s, errors.New(strings.Join(problems, "; "))
	}
	return s, nil
}

// validate refuses values that Merge would refuse.
func (s Switches) validate() error {
	all, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode switches: %w", err)
	}
	_, err = s.Merge(all)
	return err
}

// Set returns s with one switch read from text, as a command line gives it; lists are separated by commas.
func (s Switches) Set(name, value string) (Switches, error) {
	i, ok := switchFields()[name]
	if !ok {
		return s, fmt.Errorf("unknown switch %q", name)
	}
	var raw []byte
	switch reflect.TypeFor[Switches]().Field(i).Type.Kind() {
	case reflect.Bool, reflect.Int:
		raw = []byte(value)
	case reflect.Slice:
		raw, _ = json.Marshal(strings.FieldsFunc(value, func(r rune) bool { return r == ',' }))
	default:
		raw, _ = json.Marshal(value)
	}
	patch, err := json.Marshal(map[string]json.RawMessage{name: raw})
	if err != nil {
		return s, fmt.Errorf("switch %q: value %q does not fit", name, value)
	}
	return s.Merge(patch)
}

// switchFields maps the JSON name of each switch to its field index.
func switchFields() map[string]int {
	t := reflect.TypeFor[Switches]()
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		fields[t.Field(i).Tag.Get("json")] = i
	}
	return fields
}

func setSwitch(v reflect.Value, f reflect.StructField, raw json.RawMessage) error {
	if bytes.Equal(raw, []byte("null")) && v.Kind() != reflect.Slice {
		return errors.New("null is not a value")
	}
	fresh := reflect.New(v.Type())
	if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
		return fmt.Errorf("value %s does not fit: %w", raw, err)
	}
	v.Set(fresh.Elem())
	if words := strings.Fields(f.Tag.Get("oneof")); len(words) > 0 && !slices.Contains(words, v.String()) {
		return fmt.Errorf("value %q is none of %s", v.String(), strings.Join(words, ", "))
	}
	if low, err := strconv.Atoi(f.Tag.Get("min")); err == nil && v.Int() < int64(low) {
		return fmt.Errorf("value %d is below %d", v.Int(), low)
	}
	if high, err := strconv.Atoi(f.Tag.Get("max")); err == nil && v.Int() > int64(high) {
		return fmt.Errorf("value %d is above %d", v.Int(), high)
	}
	return nil
}
