package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// family lists a process and its children.
func family(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, path := range lists {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread is gone
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			all = append(all, child)
		}
	}
	return all, nil
}

// proportional is the PSS of a process in KiB: its private pages and its share
// of those that it has in common with others (proc_pid_smaps(5)).
func proportional(pid int) (float64, error) {
	return number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
}

// anonymous is the part of it that is the process's own, and filed the part
// that comes from files, which is the program's text above all.
func anonymous(pid int) (float64, error) {
	return number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss_Anon:")
}

func filed(pid int) (float64, error) {
	return number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss_File:")
}

// dirty is what nobody but the process has, and no file.
func dirty(pid int) (float64, error) {
	return number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Private_Dirty:")
}

// worked is how many nanoseconds a process's threads have run (the first number of
// /proc/PID/schedstat; those of proc_pid_stat(5) are too coarse).
func worked(pid int) (float64, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// faults is how often a process needed a page that was not in its page tables, but in
// memory (the tenth field of proc_pid_stat(5)). That costs it time, more on a virtual
// machine, whatever else the machine does.
func faults(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name of the program
	return strconv.ParseFloat(strings.Fields(rest)[7], 64)
}

// switches is how often a process's threads have gone to sleep so far
// (proc_pid_status(5)); each of them is a wakeup, too.
func switches(pid int) (float64, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, path := range tasks {
		n, err := number(path, "voluntary_ctxt_switches:")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// number reads the number behind a name at the start of a line.
func number(path, name string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// total adds up what of says of every process.
func total(b *testing.B, pids []int, of func(pid int) (float64, error)) float64 {
	b.Helper()
	sum := 0.0
	for _, pid := range pids {
		n, err := of(pid)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// samples are measured times.
type samples []time.Duration

// quantile is the q-th quantile, 0.5 for the median, by the nearest rank.
func (s samples) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// report adds the median as NAME-ms, and with enough samples the 99th
// percentile.
func (s samples) report(b *testing.B, name string) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(s.quantile(0.5)), name+"-p50-ms")
	if len(s) >= 100 {
		b.ReportMetric(ms(s.quantile(0.99)), name+"-p99-ms")
	}
}

// against adds the median of three bare fdatasyncs and, as a ratio of the
// medians, how s compares with it.
func (s samples) against(b *testing.B, bare samples, name string) {
	bare.report(b, "3-fdatasyncs")
	b.ReportMetric(float64(s.quantile(0.5))/float64(bare.quantile(0.5)), name+"/3-fdatasyncs")
	b.ReportMetric(0, "ns/op")
}
