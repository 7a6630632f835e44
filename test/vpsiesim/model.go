package vpsiesim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Model is the cloud itself: what exists, what was asked for, and what will happen when.
//
// It knows nothing of HTTP. Its methods may be called concurrently.
type Model struct {
	booter Booter
	ctx    context.Context // ends at close; for calls to the booter
	stop   context.CancelFunc
	work   sync.WaitGroup // timer callbacks under way

	mu          sync.Mutex // guards everything below
	random      *rand.Rand
	closed      bool
	timers      map[*time.Timer]struct{}
	switches    Switches
	tokens      tokens
	faults      []*Fault
	faultSeq    int
	calls       callLedger
	datacenters []Datacenter
	offers      []Offer
	clusters    []*cluster
	machines    []*machine // every machine ever, in the order of the requests
	byID        map[string]*machine
	vms         []*vm
	tags        map[string]tagSet
	names       map[string]bool // every identifier and hostname ever used
	numbers     int             // last numeric id handed out
	adds        addCounts
	hidden      []int // ids of sizes that are off the market
	// pricePercent scales the prices in listings of sizes; zero means that they are as in the seed.
	pricePercent int64
}

type addCounts struct{ requested, accepted int }

// cluster is one managed Kubernetes cluster.
type cluster struct {
	id         int
	identifier string
	name       string
	datacenter Datacenter
	version    string
	offer      Offer // size of the masters and of workers without a group
	createdAt  time.Time
	updatedAt  time.Time
	listed     bool
	groups     []*group
	nodes      []*machine // asked for and not gone
}

// group is a node group of a managed cluster.
type group struct {
	id         int
	identifier string
	name       string
	offer      Offer
	createdAt  time.Time
	updatedAt  time.Time
	droppedAt  time.Time // zero while the group exists
}

// machine is a ledger row and what only the simulator needs to know of it.
type machine struct {
	Machine
	cluster  *cluster // nil for plain machines
	group    *group   // nil without a group
	id       int
	host     int  // physical host
	attempts int  // calls to the booter that went wrong
	lost     bool // accepted and never built
}

// refusal is an answer that VPSie gives instead of doing what was asked.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, message string) *refusal { return &refusal{status, message} }

var (
	errNoCluster   = refuse(http.StatusNotFound, "kubernetes not found")
	errNoGroup     = refuse(http.StatusNotFound, "Group not found")
	errNodeUnknown = refuse(http.StatusNotFound, "Node not found")
	errWorkerCap   = refuse(http.StatusBadRequest, "Worker nodes count exceeds the allowed limit")
	errSoldOut     = refuse(http.StatusBadRequest, "The selected size is not available in this datacenter at the moment, please try again later or choose another one")
	errLost        = refuse(http.StatusInternalServerError, "Sorry, your request got lost in the clouds")
)

// newModel builds the cloud that a valid config describes; the foreign workers of the seed appear at once.
func newModel(cfg Config) *Model {
	seed := DefaultSeed()
	if cfg.Seed != nil {
		seed = cfg.Seed.clone()
	}
	_ = seed.complete() // Validate has reported what is wrong
	switches := DefaultSwitches()
	if cfg.Switches != nil {
		switches = *cfg.Switches
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Model{
		booter: cfg.Booter, ctx: ctx, stop: stop,
		random: rand.New(rand.NewPCG(cfg.RandomSeed, 0x76707369)),
		timers: map[*time.Timer]struct{}{}, switches: switches,
		tokens:      newTokens(cfg),
		calls:       newCallLedger(time.Now()),
		datacenters: seed.Datacenters, offers: seed.Offers,
		byID: map[string]*machine{}, tags: map[string]tagSet{}, names: map[string]bool{}, numbers: 500,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range seed.Clusters {
		m.seedCluster(s)
	}
	return m
}

func (m *Model) seedCluster(s SeedCluster) {
	now := time.Now().UTC()
	dc, _ := m.datacenter(s.Datacenter)
	offer, _ := m.offer(s.SizeID)
	c := &cluster{
		id: m.nextID(), identifier: s.Identifier, name: s.Name, datacenter: dc, version: s.KubeVersion,
		offer: offer, createdAt: now, updatedAt: now, listed: true,
	}
	m.clusters = append(m.clusters, c)
	for range s.Masters {
		m.list(m.newNode(c, nil, order{role: RoleMaster, offer: offer, foreign: true}))
	}
	for _, w := range s.Workers {
		size, _ := m.offer(w.SizeID)
		for range w.Count {
			m.list(m.newNode(c, nil, order{role: RoleSlave, offer: size, foreign: true}))
		}
	}
}

// close stops every timer, ends calls to the booter and waits for them.
func (m *Model) close() {
	m.mu.Lock()
	m.closed = true
	for t := range m.timers {
		t.Stop()
	}
	clear(m.timers)
	m.mu.Unlock()
	m.stop()
	m.work.Wait()
}

// after runs f, without the lock, once d has passed and the model is still open. The caller holds the lock.
func (m *Model) after(d time.Duration, f func()) {
	if m.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		m.mu.Lock()
		delete(m.timers, t)
		if m.closed {
			m.mu.Unlock()
			return
		}
		m.work.Add(1)
		m.mu.Unlock()
		defer m.work.Done()
		f()
	})
	m.timers[t] = struct{}{}
}

// Switches returns the present behaviour.
func (m *Model) Switches() Switches {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.switches
	s.SoldOut = slices.Clone(s.SoldOut)
	return s
}

// setSwitches merges a JSON object into base, or into the present switches when base is nil.
func (m *Model) setSwitches(base *Switches, patch []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.switches
	if base != nil {
		from = *base
	}
	s, err := from.Merge(patch)
	if err != nil {
		return err
	}
	m.switches = s
	return nil
}

func (m *Model) nextID() int {
	m.numbers++
	return m.numbers
}

// newIdentifier makes a unique id of the form that MariaDB's UUID() gives.
func (m *Model) newIdentifier() string {
	for {
		id := fmt.Sprintf("%08x-%04x-11f1-8f00-0242ac110005", m.random.Uint32(), m.random.Uint32N(1<<16))
		if m.claim(id) {
			return id
		}
	}
}

const hostnameTriesPerWidth = 32

// newHostname makes a name of the form <prefix>-<4 hex>, longer once four digits are nearly used up.
func (m *Model) newHostname(prefix string) string {
	for width := 4; ; width++ {
		for range hostnameTriesPerWidth {
			name := fmt.Sprintf("%s-%0*x", prefix, width, m.random.Uint64N(1<<(4*min(width, 15))))
			if m.claim(strings.ToLower(name)) {
				return name
			}
		}
	}
}

// claim reports whether nobody had the name before.
func (m *Model) claim(name string) bool {
	if m.names[name] {
		return false
	}
	m.names[name] = true
	return true
}

func (m *Model) datacenter(identifier string) (Datacenter, bool) {
	i := slices.IndexFunc(m.datacenters, func(d Datacenter) bool { return d.Identifier == identifier })
	if i < 0 {
		return Datacenter{}, false
	}
	return m.datacenters[i], true
}

func (m *Model) offer(id int) (Offer, bool) {
	i := slices.IndexFunc(m.offers, func(o Offer) bool { return o.ID == id })
	if i < 0 {
		return Offer{}, false
	}
	return m.offers[i], true
}

// offerIn finds an offer by its mapping id in a datacenter.
func (m *Model) offerIn(datacenter, identifier string) (Offer, bool) {
	for _, o := range m.offers {
		if o.identifierIn(datacenter) == identifier {
			return o, true
		}
	}
	return Offer{}, false
}

func (m *Model) soldOut(o Offer, datacenter string) bool {
	return slices.ContainsFunc(m.switches.SoldOut, func(s string) bool {
		return s == fmt.Sprint(o.ID) || s == o.identifierIn(datacenter)
	})
}

// cluster finds a listed cluster.
func (m *Model) cluster(identifier string) *cluster {
	for _, c := range m.clusters {
		if c.identifier == identifier && c.listed {
			return c
		}
	}
	return nil
}

// group finds a group that was not deleted.
func (c *cluster) group(id int) *group {
	for _, g := range c.groups {
		if g.id == id && g.droppedAt.IsZero() {
			return g
		}
	}
	return nil
}

// workers counts what the worker cap counts: workers asked for and not gone.
func (c *cluster) workers() int {
	n := 0
	for _, mc := range c.nodes {
		if mc.Role == RoleSlave {
			n++
		}
	}
	return n
}
