module github.com/vpsie/vpsie-autoscaler/services/provisioner

go 1.26.0
