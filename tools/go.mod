module github.com/vpsie/vpsie-autoscaler/tools

go 1.26.0
