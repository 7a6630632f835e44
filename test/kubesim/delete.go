package kubesim

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remove begins or completes a deletion. It returns the object while something holds it, and nil once it is gone.
func (s *Server) remove(req Request, r *resource, options *metav1.DeleteOptions) (*record, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.removeLocked(req, r, options)
}

func (s *Server) removeLocked(req Request, r *resource, options *metav1.DeleteOptions) (*record, error) {
	if len(options.DryRun) > 0 {
		return nil, errDryRun
	}
	old := s.stored(r, client.ObjectKey{Namespace: req.Namespace, Name: req.Name})
	if old == nil {
		return nil, apierrors.NewNotFound(r.group(), req.Name)
	}
	if err := checkPreconditions(r, old.object, options.Preconditions); err != nil {
		return nil, err
	}
	o := r.shallowCopy(old.object)
	graceful, pending := beginDeletion(r, o, options)
	if pending {
		return old, nil
	}
	held := len(o.GetFinalizers()) > 0 || r == s.resources.namespaces && holdNamespace(o)
	if held && !graceful {
		markDeleted(o, 0, now())
	}
	if graceful || held {
		stored, err := s.storeUpdate(req, old, o)
		if err != nil || held || graceOf(o) > 0 {
			return stored, err
		}
		old = stored
	}
	s.commit(req, r, old, nil)
	return nil, nil
}

// checkPreconditions compares what the client knows of the object with what is stored.
func checkPreconditions(r *resource, o client.Object, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	// The API server names the kind where the resource should be.
	kind := schema.GroupResource{Group: r.gvr.Group, Resource: r.kind}
	if p.UID != nil && *p.UID != o.GetUID() {
		return apierrors.NewConflict(kind, o.GetName(), fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated",
			*p.UID, o.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion() {
		return apierrors.NewConflict(kind, o.GetName(), fmt.Errorf(
			"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified",
			*p.ResourceVersion, o.GetResourceVersion()))
	}
	return nil
}

// beginDeletion marks an object that is run by somebody, who must end it first. It is pending when it
// was marked before with no longer a grace period than is asked for now.
func beginDeletion(r *resource, o client.Object, options *metav1.DeleteOptions) (graceful, pending bool) {
	if r.grace == nil {
		return false, false
	}
	asked := options.GracePeriodSeconds
	if asked != nil && *asked < 0 {
		asked = new(int64(1))
	}
	marked := o.GetDeletionTimestamp()
	if marked == nil {
		period := r.grace(o, &metav1.DeleteOptions{GracePeriodSeconds: asked})
		markDeleted(o, period, metav1.NewTime(now().Add(seconds(period))))
		return true, false
	}
	before := graceOf(o)
	if before == 0 {
		return false, false
	}
	if asked == nil || *asked >= before {
		return false, true
	}
	period, until := *asked, metav1.NewTime(marked.Add(seconds(*asked-before)))
	if n := now(); until.Before(&n) {
		until = n
		if period != 0 {
			period = 1
		}
	}
	o.SetDeletionTimestamp(&until)
	o.SetDeletionGracePeriodSeconds(&period)
	return true, false
}

// markDeleted says in an object that it is being deleted.
func markDeleted(o client.Object, period int64, until metav1.Time) {
	marked := o.GetDeletionTimestamp()
	if marked == nil && o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	if marked == nil || marked.After(until.Time) {
		o.SetDeletionTimestamp(&until)
	}
	o.SetDeletionGracePeriodSeconds(&period)
}

// removeAll deletes what a selection chooses and returns what it chose.
func (s *Server) removeAll(req Request, r *resource, chosen []*record, options *metav1.DeleteOptions) error {
	for _, one := range chosen {
		each := req
		each.Namespace, each.Name = one.key.Namespace, one.key.Name
		if _, err := s.remove(each, r, options); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
