package app

import (
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// hindrance is what a failed call means for a machine.
func hindrance(e *CloudError) machine.Hindrance {
	return machine.Hindrance{Code: e.Code, Scope: e.Scope, Said: e.Message, Reason: conditionReason(e), Message: explain(e)}
}

// conditionReason is the reason of a condition that a failed call explains.
func conditionReason(e *CloudError) string {
	switch {
	case e.Failure == Refused && e.Code != "":
		return e.Code.Condition()
	case e.Failure == Held && e.Code == "":
		return "Outdated"
	}
	return holdCode(e).Condition()
}

// explain says what a failed call means: what, why, what happens next, what to do. It has no
// moving parts, because it ends up in conditions.
func explain(e *CloudError) string {
	switch e.Failure {
	case Unauthorized:
		return "VPSie refuses the credentials (" + e.Message + "), so no machine can be launched or terminated; the credentials are read and tried again every few seconds; put a valid token where the provisioner reads it"
	case NotMade:
		return "VPSie cannot be called now (" + e.Message + "), so no machine is launched or terminated; calls are tried again automatically; nothing needs to be done unless this lasts"
	case NotFound:
		return "VPSie does not know the cluster or machine of the call (" + e.Message + "), so no machine is launched or terminated; the lookup is repeated automatically; check spec.cluster.identifier and what the credentials give access to"
	case Held:
		if e.Code != "" {
			return e.Message
		}
		return "the call was not made (" + e.Message + "); it is decided again automatically; nothing needs to be done unless this lasts"
	case Refused:
		if e.Code == reason.NoScaleUpQuota {
			return "VPSie refused the machine (" + e.Message + "): the cluster's plan allows no more workers; launches are in backoff and are requested again later; raise the limit at VPSie or lower maxNodes"
		}
		return "VPSie refused the machine (" + e.Message + "); this size is in backoff and the next best one is used where the NodeGroup allows it; allow another size if this lasts"
	}
	return "VPSie's answer is unclear (" + e.Message + "); listings are checked for its effect before the call is repeated; nothing needs to be done unless this lasts"
}

// holdCode is why what needs a call to VPSie waits while calls fail; empty where what the call rests on is read again.
func holdCode(e *CloudError) reason.Code {
	switch e.Failure {
	case Held:
		return e.Code
	case Unauthorized:
		return reason.HoldUnauthorized
	case NotFound:
		return reason.HoldClusterUnknown
	case Refused:
		return reason.HoldRefused
	}
	return reason.HoldAPIUnavailable
}
