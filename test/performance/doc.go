// Package performance measures how good the engine's plans are and how fast it makes them. Its tests hold what
// does not depend on the machine; its benchmarks print the rest.
package performance
