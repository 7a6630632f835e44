// Package nodegroup reads what a NodeGroup says: its policy with every default, and whether its spec can be acted on. Controllers
// decide on a Policy and never on the optional fields of the spec; a webhook refuses what Validate does.
package nodegroup
