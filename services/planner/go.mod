module github.com/vpsie/vpsie-autoscaler/services/planner

go 1.26.0
