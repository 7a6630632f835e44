package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// claims remembers every VPSieNode that ever was, for the comparison with what was bought.
type claims struct {
	mu  sync.Mutex
	by  map[types.UID]*vpsiesim.Claim
	ids []types.UID // in the order of their first sight
}

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
	claim := c.by[vn.UID]
	if claim == nil {
		claim = &vpsiesim.Claim{Name: vn.Namespace + "/" + vn.Name}
		c.by[vn.UID] = claim
		c.ids = append(c.ids, vn.UID)
	}
	claim.Gone = claim.Gone || gone
	if id := vn.Status.Identifier; id != "" && !slices.Contains(claim.Identifiers, id) {
		claim.Identifiers = append(claim.Identifiers, id)
	}
}

func (c *claims) list() []vpsiesim.Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []vpsiesim.Claim
	for _, id := range c.ids {
		claim := *c.by[id]
		claim.Identifiers = slices.Clone(claim.Identifiers)
		list = append(list, claim)
	}
	return list
}

// record starts to remember purchases and decisions until background ends.
func (s *Stack) record(ctx, background context.Context) error {
	s.claims = &claims{by: map[types.UID]*vpsiesim.Claim{}}
	informers, err := cache.New(s.RESTConfig(), cache.Options{Scheme: s.Client.Scheme()})
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	informer, err := informers.GetInformer(ctx, &v1beta1.VPSieNode{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch VPSieNodes: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { s.claims.see(object, false) },
		UpdateFunc: func(_, object any) { s.claims.see(object, false) },
		DeleteFunc: func(object any) { s.claims.see(object, true) },
	})
	if err != nil {
		return fmt.Errorf("watch VPSieNodes: %w", err)
	}
	// The cache ends when its context does; nothing else can fail later.
	s.work.Go(func() { _ = informers.Start(background) })
	if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return errors.Join(errors.New("watch VPSieNodes: the first listing is not complete"), ctx.Err())
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
