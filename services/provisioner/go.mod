module github.com/vpsie/vpsie-autoscaler/services/provisioner

go 1.26.0

require (
	github.com/vpsie/vpsie-autoscaler/api v0.0.0
	github.com/vpsie/vpsie-autoscaler/libs v0.0.0
)

replace (
	github.com/vpsie/vpsie-autoscaler/api => ../../api
	github.com/vpsie/vpsie-autoscaler/libs => ../../libs
)
