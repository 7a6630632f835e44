module github.com/vpsie/vpsie-autoscaler/tools

go 1.26.0

require github.com/vpsie/vpsie-autoscaler/api v0.0.0

replace github.com/vpsie/vpsie-autoscaler/api => ../api
