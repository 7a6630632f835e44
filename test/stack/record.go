package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// absenceSightings is how many looks confirm that a machine is gone.
const absenceSightings = 2

// claims remembers every launch that a VPSieNode ever recorded, for the comparison with what was launched. An object
// whose machine is confirmed to be gone may wait for the late answer to another of its requests: that is another launch.
type claims struct {
	mu     sync.Mutex
	latest map[types.UID]*launch
	all    []*vpsiesim.Claim // in the order of their first sight
}

type launch struct {
	claim *vpsiesim.Claim
	// over says that the machine was confirmed to be gone when the object was last seen.
	over bool
}

func newClaims() *claims { return &claims{latest: map[types.UID]*launch{}} }

func (c *claims) see(object any, gone bool) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	vn, ok := object.(*v1beta1.VPSieNode)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id, p := vn.Status.Identifier, c.latest[vn.UID]
	if p != nil && p.over && id == "" && !gone {
		p.claim.Gone, p = true, nil
	}
	if p == nil {
		p = &launch{claim: &vpsiesim.Claim{Name: vn.Namespace + "/" + vn.Name}}
		c.latest[vn.UID] = p
		c.all = append(c.all, p.claim)
	}
	p.over = id != "" && vn.Status.AbsentSightings >= absenceSightings
	p.claim.Gone = p.claim.Gone || gone
	if id != "" && !slices.Contains(p.claim.Identifiers, id) {
		p.claim.Identifiers = append(p.claim.Identifiers, id)
	}
}

func (c *claims) list() []vpsiesim.Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []vpsiesim.Claim
	for _, claim := range c.all {
		list = append(list, vpsiesim.Claim{Name: claim.Name, Identifiers: slices.Clone(claim.Identifiers), Gone: claim.Gone})
	}
	return list
}

// record starts to remember launches and decisions until background ends.
func (s *Stack) record(ctx, background context.Context) error {
	s.claims, s.announced = newClaims(), newAnnounced()
	informers, err := cache.New(s.RESTConfig(), cache.Options{Scheme: s.Client.Scheme()})
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	var synced []toolscache.InformerSynced
	watch := func(object client.Object, handler toolscache.ResourceEventHandlerFuncs) error {
		informer, err := informers.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		synced = append(synced, registration.HasSynced)
		return nil
	}
	shown := toolscache.ResourceEventHandlerFuncs{AddFunc: s.announced.see, UpdateFunc: func(_, object any) { s.announced.see(object) }}
	err = errors.Join(
		watch(&v1beta1.VPSieNode{}, toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(object any) {
				s.claims.see(object, false)
				s.announced.see(object)
			},
			UpdateFunc: func(_, object any) {
				s.claims.see(object, false)
				s.announced.see(object)
			},
			DeleteFunc: func(object any) { s.claims.see(object, true) },
		}),
		watch(&v1beta1.NodeGroup{}, shown), watch(&eventsv1.Event{}, shown),
	)
	if err != nil {
		return err
	}
	// The cache ends when its context does; nothing else can fail later.
	s.work.Go(func() { _ = informers.Start(background) })
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return errors.Join(errors.New("watch what is shown: the first listing is not complete"), ctx.Err())
	}
	if s.facts, err = newFacts(s.NATS.URL); err != nil {
		return err
	}
	s.work.Go(func() { s.facts.run(background) })
	return nil
}

// Claims returns what every VPSieNode that ever was said about its machine.
func (s *Stack) Claims() []vpsiesim.Claim { return s.claims.list() }

// Judge compares the simulated cloud's ledger with every VPSieNode that ever was. Everything must have settled.
func (s *Stack) Judge(ctx context.Context) (vpsiesim.Verdict, error) {
	truth, err := s.Sim.Truth(ctx)
	if err != nil {
		return vpsiesim.Verdict{}, fmt.Errorf("read ground truth: %w", err)
	}
	return vpsiesim.Judge(truth, s.Claims()), nil
}
