module github.com/vpsie/vpsie-autoscaler/services/observer

go 1.26.0
