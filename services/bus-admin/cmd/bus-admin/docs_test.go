package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx/servicefxtest"
)

// TestFlagsAreDocumented compares the README with --help.
func TestFlagsAreDocumented(t *testing.T) {
	servicefxtest.WantFlags[config](t, "../../README.md")
}

// TestDocumentedMessages compares the table of messages with the streams, topics and consumers that are declared.
func TestDocumentedMessages(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/messaging.md")
	if err != nil {
		t.Fatal(err)
	}
	kept, dlq := map[string]time.Duration{}, ""
	for _, s := range bus.Streams() {
		kept[s.Name] = s.MaxAge
		if s.Name == bus.StreamDeadLetters {
			dlq = s.Subjects[0]
		}
	}
	want := map[string]bool{strings.Join([]string{bus.StreamDeadLetters, kept[bus.StreamDeadLetters].String(), dlq}, " "): true}
	for _, topic := range bus.Topics() {
		line := []string{topic.Stream(), kept[topic.Stream()].String(), topic.Filter()}
		for _, c := range declared() {
			if c.Topic == topic {
				line = append(line, c.Name)
			}
		}
		want[strings.Join(line, " ")] = true
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 7 || !strings.HasPrefix(cells[0], " `") {
			continue
		}
		if slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("a cell is empty: %s", line)
		}
		age, err := time.ParseDuration(strings.TrimSpace(cells[1]))
		if err != nil {
			t.Error(err)
		}
		row := append(names(cells[0]), age.String())
		row = append(row, names(cells[3])...)
		row = append(row, names(cells[5])...)
		if key := strings.Join(row, " "); !want[key] {
			t.Errorf("documented and not declared: %s", key)
		} else {
			delete(want, key)
		}
	}
	for key := range want {
		t.Errorf("declared and not documented: %s", key)
	}
}

// names are what a cell quotes as code.
func names(cell string) []string {
	var out []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}
