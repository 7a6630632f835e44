package id_test

import (
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/id"
)

func TestNamesSortByTheirTime(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	earlier, later, same := id.New(noon), id.New(noon.Add(time.Millisecond)), id.New(noon)
	if earlier >= later || same >= later {
		t.Errorf("%s and %s do not sort before %s", earlier, same, later)
	}
	if earlier == same {
		t.Errorf("%s names two things", same)
	}
}
