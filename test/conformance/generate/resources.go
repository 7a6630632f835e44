package generate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// resources gives a pod containers of every sort, and requests that fill nodes up.
func (b *builder) resources(p *corev1.Pod) {
	spec := &p.Spec
	spec.Containers[0].Resources = b.requests()
	if b.chance(30) {
		c := b.container("second")
		c.Resources = b.requests()
		spec.Containers = append(spec.Containers, c)
	}
	for _, name := range []string{"init", "sidecar", "late"} {
		if !b.chance(20) {
			continue
		}
		c := b.container(name)
		c.Resources = b.requests()
		if name == "sidecar" {
			always := corev1.ContainerRestartPolicyAlways
			c.RestartPolicy = &always
		}
		spec.InitContainers = append(spec.InitContainers, c)
	}
	if b.chance(20) {
		spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: quantity("250m"), corev1.ResourceMemory: quantity("120Mi")}
	}
}

func (b *builder) requests() corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	r.Requests = corev1.ResourceList{
		corev1.ResourceCPU: quantity(pick(b.source, "0", "100m", "333m", "500m", "0.9", "1", "1400m")),
	}
	if b.chance(70) {
		r.Requests[corev1.ResourceMemory] = quantity(pick(b.source, "100M", "512Mi", "1Gi", "1300000000"))
	}
	if b.chance(20) {
		r.Requests[corev1.ResourceEphemeralStorage] = quantity(pick(b.source, "1Gi", "3Gi", "5Gi"))
	}
	// What cannot be overcommitted has a limit, and the request is the limit.
	exact := func(name corev1.ResourceName, amount string) {
		if r.Limits == nil {
			r.Limits = corev1.ResourceList{}
		}
		r.Requests[name], r.Limits[name] = quantity(amount), quantity(amount)
	}
	if b.chance(20) {
		exact(resourceGPU, pick(b.source, "0", "1", "2"))
	}
	if b.chance(8) {
		exact(resourceHuge, pick(b.source, "2Mi", "4Mi"))
	}
	return r
}

// podLevel sets requests of the pod as a whole, which take the place of what its containers ask for.
func (b *builder) podLevel(p *corev1.Pod) {
	sum := resource.PodRequests(p, resource.PodResourcesOptions{ExcludeOverhead: true})
	cpu, memory := sum[corev1.ResourceCPU], sum[corev1.ResourceMemory]
	cpu.Add(quantity(pick(b.source, "0", "100m", "500m")))
	memory.Add(quantity(pick(b.source, "0", "64Mi", "512Mi")))
	p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory}}
}

// resize makes a pod one that is being resized in place: its node still holds what it had before.
func (b *builder) resize(p *corev1.Pod) {
	for _, c := range p.Spec.Containers {
		held := corev1.ResourceList{
			corev1.ResourceCPU:    quantity(pick(b.source, "200m", "700m", "1")),
			corev1.ResourceMemory: quantity(pick(b.source, "200Mi", "1Gi")),
		}
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, AllocatedResources: held, Resources: &corev1.ResourceRequirements{Requests: held},
		})
	}
}
