package rpc

import (
	"fmt"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // the client's side of health checking
)

// serviceConfig makes the client ask, of all addresses that the name resolves to, those whose health
// service says that they serve: a standby's does not.
const serviceConfig = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`

// NewClient returns a connection to the elected replica of a service, made when it is first used. The caller closes it.
func NewClient(address string, network Network) (*grpc.ClientConn, error) {
	retry := backoff.DefaultConfig
	retry.MaxDelay = retry.BaseDelay * 2
	conn, err := grpc.NewClient("dns:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithContextDialer(network.Dial),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry}),
	)
	if err != nil {
		return nil, fmt.Errorf("make client of %q: %w", address, err)
	}
	return conn, nil
}
