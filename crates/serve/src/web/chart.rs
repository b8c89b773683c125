//! Charts as SVG made on the server. Colours come from CSS classes, so that light, dark and print are one picture; whoever
//! draws one puts a table with the same numbers below it.

use askama::Template;

use super::Words;

/// Points over time with their intervals, and dashed targets.
#[derive(Template)]
#[template(path = "chart_line.html")]
pub(crate) struct LineChart {
    id: &'static str,
    title: String,
    summary: String,
    ticks: Vec<Tick>,
    dates: Vec<Tick>,
    events: Vec<Tick>,
    targets: Vec<Target>,
    lines: Vec<Line>,
}

/// A label at a place of an axis, in the picture's units.
pub(crate) struct Tick {
    at: String,
    label: String,
}

struct Target {
    y: String,
    label_y: String,
    label: String,
}

struct Line {
    /// `1` to `5`: colour and marker.
    series: u8,
    path: String,
    points: Vec<Point>,
    label: String,
    label_y: String,
}

struct Point {
    x: String,
    y: String,
    /// Ends of the interval.
    low: String,
    high: String,
    title: String,
}

/// A value at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Unix seconds.
    pub(crate) at: i64,
    pub(crate) date: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// One line of a chart.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) samples: Vec<Sample>,
    /// What it should reach, and how that is called.
    pub(crate) target: Option<(f64, String)>,
}

/// The frame of a line chart inside its picture of 800 x 300.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 262.0;
/// Two labels nearer than this would run into each other.
const LINE_HEIGHT: f64 = 17.0;
/// Room of an event's label above its line.
const EVENT_WIDTH: f64 = 52.0;
/// Room of a date below the axis.
const DATE_WIDTH: f64 = 92.0;

impl LineChart {
    /// `events`: moments that are marked, such as a promotion. The scale ends at 1.
    pub(crate) fn new(
        id: &'static str,
        title: String,
        summary: String,
        series: &[Series],
        events: &[(i64, String)],
        w: Words,
    ) -> LineChart {
        let all = || series.iter().flat_map(|series| &series.samples);
        let (first, last) =
            all().fold((i64::MAX, i64::MIN), |span, sample| (span.0.min(sample.at), span.1.max(sample.at)));
        let targets = series.iter().filter_map(|series| series.target.as_ref().map(|(target, _)| *target));
        let least = all().map(|sample| sample.low).chain(targets).fold(1.0, f64::min);
        let scale = Scale { first, last, low: ((least * 10.0 - 0.3).floor() / 10.0).clamp(0.0, 0.9) };
        let lines: Vec<Line> = (1..).zip(series).map(|(number, one)| scale.line(number, one, w)).collect();
        let mut chart = LineChart {
            id,
            title,
            summary,
            ticks: scale.ticks(w),
            dates: scale.dates(all()),
            events: scale.events(events),
            targets: Vec::new(),
            lines,
        };
        chart.label(series, &scale, w);
        chart
    }

    /// Puts the labels at the right, apart from each other.
    fn label(&mut self, series: &[Series], scale: &Scale, w: Words) {
        let mut wanted: Vec<(f64, Option<usize>, String)> = Vec::new();
        for (at, one) in series.iter().enumerate() {
            if let Some(last) = one.samples.last() {
                wanted.push((
                    scale.y(last.value),
                    Some(at),
                    format!("{} {}", one.label, w.number(last.value, 2)),
                ));
            }
            if let Some((target, label)) = &one.target {
                wanted.push((scale.y(*target), None, label.clone()));
            }
        }
        wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = TOP - LINE_HEIGHT;
        for (y, line, label) in wanted {
            let at = y.max(free + LINE_HEIGHT);
            free = at;
            let label_y = px(at + 4.0);
            match line.and_then(|line| self.lines.get_mut(line)) {
                Some(line) => (line.label, line.label_y) = (label, label_y),
                None => self.targets.push(Target { y: px(y), label_y, label }),
            }
        }
    }
}

/// Where times and values lie.
struct Scale {
    first: i64,
    last: i64,
    low: f64,
}

impl Scale {
    fn x(&self, at: i64) -> f64 {
        if self.last <= self.first {
            return (LEFT + RIGHT) / 2.0;
        }
        // A little room at both ends, so that no marker lies on the frame.
        let (from, to) = (LEFT + 14.0, RIGHT - 14.0);
        from + (to - from) * (at - self.first) as f64 / (self.last - self.first) as f64
    }

    /// The events inside the scale, in the order of time. Of labels that would run into each other the latest one stays.
    fn events(&self, events: &[(i64, String)]) -> Vec<Tick> {
        let mut inside: Vec<_> =
            events.iter().filter(|(at, _)| (self.first..=self.last).contains(at)).collect();
        inside.sort_by_key(|(at, _)| *at);
        let mut free = f64::INFINITY;
        let mut ticks: Vec<Tick> = inside
            .into_iter()
            .rev()
            .map(|(at, label)| {
                let x = self.x(*at);
                let fits = x + EVENT_WIDTH <= free;
                free = if fits { x } else { free };
                Tick { at: px(x), label: if fits { label.clone() } else { String::new() } }
            })
            .collect();
        ticks.reverse();
        ticks
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * ((value - self.low) / (1.0 - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(&self, w: Words) -> Vec<Tick> {
        let step = if self.low < 0.5 { 0.2 } else { 0.1 };
        let count = ((1.0 - self.low) / step + 1e-9) as u32;
        let value = |k: u32| 1.0 - step * f64::from(k);
        (0..=count).map(|k| Tick { at: px(self.y(value(k))), label: w.number(value(k), 1) }).collect()
    }

    fn dates<'a>(&self, samples: impl Iterator<Item = &'a Sample>) -> Vec<Tick> {
        let mut moments: Vec<(i64, &str)> = samples.map(|sample| (sample.at, sample.date.as_str())).collect();
        moments.sort_unstable();
        moments.dedup_by(|next, kept| next.1 == kept.1);
        let mut ticks: Vec<Tick> = Vec::new();
        let mut free = f64::INFINITY;
        // From the newest back: its date is always there.
        for (at, date) in moments.into_iter().rev() {
            let x = self.x(at);
            if x <= free {
                ticks.push(Tick { at: px(x), label: date.to_owned() });
                free = x - DATE_WIDTH;
            }
        }
        ticks
    }

    fn line(&self, number: u8, series: &Series, w: Words) -> Line {
        let points = series.samples.iter().map(|sample| Point {
            x: px(self.x(sample.at)),
            y: px(self.y(sample.value)),
            low: px(self.y(sample.low)),
            high: px(self.y(sample.high)),
            title: format!(
                "{}: {} ({}–{})",
                sample.date,
                w.number(sample.value, 2),
                w.number(sample.low, 2),
                w.number(sample.high, 2)
            ),
        });
        let points: Vec<Point> = points.collect();
        let path =
            points.iter().map(|point| format!("{} {}", point.x, point.y)).collect::<Vec<_>>().join("L");
        Line {
            series: number,
            path: format!("M{path}"),
            points,
            label: String::new(),
            label_y: String::new(),
        }
    }
}

/// Shares of two samples by bar: the reference filled, the window as a step line.
#[derive(Template)]
#[template(path = "chart_histogram.html")]
pub(crate) struct Histogram {
    id: String,
    title: String,
    summary: String,
    ticks: Vec<Tick>,
    bars: Vec<Bar>,
    labels: Vec<Tick>,
    /// The window's outline.
    steps: String,
}

struct Bar {
    x: String,
    y: String,
    width: String,
    height: String,
    title: String,
}

/// The frame of a histogram inside its picture of 460 x 220.
const H_LEFT: f64 = 48.0;
const H_RIGHT: f64 = 452.0;
const H_TOP: f64 = 12.0;
const H_BOTTOM: f64 = 186.0;

impl Histogram {
    /// `labels`: one per bar. Both samples hold at least one patient.
    pub(crate) fn new(
        id: String,
        title: String,
        summary: String,
        labels: &[String],
        reference: &[f64],
        window: &[f64],
        w: Words,
    ) -> Histogram {
        let highest = reference.iter().chain(window).copied().fold(0.01, f64::max);
        let step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25].into_iter().find(|step| highest / step <= 4.5);
        let step = step.unwrap_or(0.25);
        let top = (highest / step).ceil() * step;
        let y = |share: f64| H_BOTTOM - (H_BOTTOM - H_TOP) * share / top;
        let width = (H_RIGHT - H_LEFT) / labels.len().max(1) as f64;
        let x = |bar: usize| H_LEFT + width * bar as f64;
        let bars =
            reference.iter().zip(window).zip(labels).enumerate().map(|(at, ((&was, &is), label))| Bar {
                x: px(x(at) + 0.75),
                y: px(y(was)),
                width: px(width - 1.5),
                height: px(H_BOTTOM - y(was)),
                title: format!("{label}: {} → {}", w.percent(was, 1), w.percent(is, 1)),
            });
        let mut steps = format!("M{} {}", px(H_LEFT), px(H_BOTTOM));
        for (at, &share) in window.iter().enumerate() {
            steps += &format!("V{}H{}", px(y(share)), px(x(at + 1)));
        }
        steps += &format!("V{}", px(H_BOTTOM));
        let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(1);
        let every = (longest as f64 * 7.0 + 8.0).max(width) / width;
        Histogram {
            id,
            title,
            summary,
            ticks: (0..=(top / step).round() as u32)
                .map(|k| f64::from(k) * step)
                .map(|share| Tick { at: px(y(share)), label: w.percent(share, usize::from(step < 0.01)) })
                .collect(),
            bars: bars.collect(),
            labels: (0..labels.len())
                .step_by(every.ceil() as usize)
                .map(|at| Tick { at: px(x(at) + width / 2.0), label: labels[at].clone() })
                .collect(),
            steps,
        }
    }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use clinical::Language;

    use super::*;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at, date: format!("day {at}"), value, low: value - 0.05, high: value + 0.05 }
    }

    #[test]
    fn labels_never_run_into_each_other_and_every_point_is_inside_the_frame() {
        let series = |label: &str, values: [f64; 3]| Series {
            label: label.to_owned(),
            samples: (0..3).zip(values).map(|(at, value)| sample(at * 86_400, value)).collect(),
            target: Some((values[2], "target".to_owned())),
        };
        let both = [series("a", [0.9, 0.85, 0.83]), series("b", [0.8, 0.82, 0.829])];
        let words = Words(Language::En);
        let chart = LineChart::new("c", "t".into(), "s".into(), &both, &[(86_400, "m-0002".into())], words);
        let mut at: Vec<f64> = chart.lines.iter().map(|line| line.label_y.parse().unwrap()).collect();
        at.extend(chart.targets.iter().map(|target| target.label_y.parse::<f64>().unwrap()));
        at.sort_by(f64::total_cmp);
        assert!(at.len() == 4 && at.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 0.11), "{at:?}");
        for point in chart.lines.iter().flat_map(|line| &line.points) {
            let (x, y): (f64, f64) = (point.x.parse().unwrap(), point.y.parse().unwrap());
            assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y));
        }
        assert_eq!((chart.events.len(), chart.dates.len()), (1, 3));
        assert!(chart.render().unwrap().contains("m-0002"));
    }

    #[test]
    fn every_event_has_its_line_and_only_labels_that_fit() {
        let scale = Scale { first: 0, last: 1000, low: 0.0 };
        let events: Vec<(i64, String)> = (0..40).rev().map(|n| (n * 25, format!("m-{n:04}"))).collect();
        let ticks = scale.events(&events);
        assert_eq!(ticks.len(), 40);
        let labelled: Vec<f64> =
            ticks.iter().filter(|tick| !tick.label.is_empty()).map(|tick| tick.at.parse().unwrap()).collect();
        assert!(labelled.len() > 3 && labelled.windows(2).all(|two| two[1] - two[0] >= EVENT_WIDTH - 0.2));
        assert_eq!(ticks.last().unwrap().label, "m-0039");
    }

    #[test]
    fn one_point_stands_in_the_middle() {
        let one = [Series { label: "a".into(), samples: vec![sample(5, 0.7)], target: None }];
        let chart = LineChart::new("c", "t".into(), "s".into(), &one, &[], Words(Language::Es));
        assert_eq!(chart.lines[0].points[0].x, px((LEFT + RIGHT) / 2.0));
    }

    #[test]
    fn a_histogram_starts_at_zero_and_closes_its_outline() {
        let labels = ["A", "B"].map(str::to_owned);
        let chart = Histogram::new(
            "h".into(),
            "t".into(),
            "s".into(),
            &labels,
            &[0.5, 0.5],
            &[0.2, 0.8],
            Words(Language::Es),
        );
        assert_eq!(chart.ticks[0].label, "0\u{a0}%");
        assert!(
            chart.steps.starts_with("M48.0 186.0V") && chart.steps.ends_with("V186.0"),
            "{}",
            chart.steps
        );
        assert!(chart.render().unwrap().contains("<title id=\"h-t\">t</title>"));
    }
}
