package control

import (
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// families are metrics in the data model of Prometheus.
type families []*dto.MetricFamily

// family adds metrics that share their labels.
type family[T any] struct {
	to     *families
	all    []T
	labels func(T) []string // name, value, name, value …
}

func (f family[T]) gauge(name, help string, value func(T) float64) {
	f.add(name, help, dto.MetricType_GAUGE, func(m *dto.Metric, item T) {
		m.Gauge = &dto.Gauge{Value: new(value(item))}
	})
}

// moment is a gauge that is left out where it is not known, or has not been.
func (f family[T]) moment(name, help string, value func(T) time.Time) {
	f.all = slices.DeleteFunc(slices.Clone(f.all), func(item T) bool { return value(item).IsZero() })
	f.gauge(name, help, func(item T) float64 { return float64(value(item).Unix()) })
}

// counter only grows, and begins at 0 with each start of the supervisor.
func (f family[T]) counter(name, help string, value func(T) float64) {
	f.add(name, help, dto.MetricType_COUNTER, func(m *dto.Metric, item T) {
		m.Counter = &dto.Counter{Value: new(value(item))}
	})
}

// histogram begins at 0 with each start of the supervisor, too.
func (f family[T]) histogram(name, help string, value func(T) refresh.Spread) {
	f.add(name, help, dto.MetricType_HISTOGRAM, func(m *dto.Metric, item T) {
		s := value(item)
		m.Histogram = &dto.Histogram{SampleCount: new(s.Count), SampleSum: new(s.Sum)}
		for i, bound := range s.Bounds {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{UpperBound: new(bound), CumulativeCount: new(s.Within[i])})
		}
	})
}

func (f family[T]) add(name, help string, kind dto.MetricType, fill func(*dto.Metric, T)) {
	if len(f.all) == 0 {
		return
	}
	all := &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
	for _, item := range f.all {
		m := &dto.Metric{}
		labels := f.labels(item)
		for i := 0; i < len(labels); i += 2 {
			m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
		}
		fill(m, item)
		all.Metric = append(all.Metric, m)
	}
	*f.to = append(*f.to, all)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
