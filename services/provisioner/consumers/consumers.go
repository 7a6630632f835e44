// Package consumers declares from what the provisioner reads on the bus. It is apart so that bus-admin, which makes the
// consumers of all services, may import it and nothing else of the provisioner.
package consumers

import (
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

// The provisioner's consumers.
var (
	Launch = bus.Consumer{Name: "provisioner-launch", Topic: bus.TopicLaunch}
	Retire = bus.Consumer{Name: "provisioner-retire", Topic: bus.TopicRetire}
)

// All returns every one of them.
func All() []bus.Consumer { return []bus.Consumer{Launch, Retire} }
