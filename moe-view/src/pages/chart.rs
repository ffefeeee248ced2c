//! Lines over training tokens, each with its name at its end and the range of its seeds around it.

use super::arms::ArmStyle;
use super::html::{Column, Html, Table};
use super::place::spread;
use crate::svg::{Origin, Scale, escape, label};
use crate::{si, significant};
use moe_lab::report::{BandPoint, Curve};
use std::fmt::Write;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 40.0;
/// The width of a character of a name, about.
const CHARACTER: f64 = 7.2;
/// Lines of few points show them.
const FEW: usize = 16;
/// The most points of a line that say what they are where a reader points at them.
const MOST_TITLES: usize = 60;

/// A chart.
pub struct Chart<'a> {
    /// The title, with the unit.
    pub title: &'a str,
    /// Remarks on it.
    pub caption: &'a str,
    /// Where its axis begins.
    pub origin: Origin,
    /// The lines with their styles.
    pub lines: Vec<(&'a ArmStyle, &'a Curve)>,
}

impl Chart<'_> {
    /// The figure, with its numbers behind a line that opens them.
    pub fn figure(&self) -> Html {
        Html::raw(format!(
            "<figure>\n<span class=\"title\">{}</span>\n{}<figcaption>{}</figcaption>\n{}</figure>\n",
            escape(self.title),
            self.svg(),
            escape(self.caption),
            self.numbers()
        ))
    }

    fn svg(&self) -> String {
        let plot = Plot::around(self);
        let mut body = plot.frame();
        for (style, curve) in &self.lines {
            plot.band(&mut body, style, curve);
        }
        for (style, curve) in &self.lines {
            plot.line(&mut body, style, curve);
        }
        for (style, curve) in &self.lines {
            plot.titles(&mut body, style, curve);
        }
        plot.names(&mut body, &self.lines);
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>{}</title>\n{body}</svg>\n",
            escape(&self.summary())
        )
    }

    /// The chart in a sentence.
    fn summary(&self) -> String {
        let line = |(style, curve): &(&ArmStyle, &Curve)| {
            let ends =
                [curve.points.first(), curve.points.last()].map(|point| point.map(|p| p.mean));
            let [first, last] = ends.map(|mean| mean.map_or("-".to_owned(), |x| significant(x, 3)));
            format!("{} from {first} to {last}", style.name)
        };
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        format!("{} over training tokens: {}", self.title, lines.join("; "))
    }

    fn numbers(&self) -> Html {
        let mut table = Table::new(self.title)
            .column(Column::Name, "arm")
            .column(Column::Number, "first")
            .column(Column::Number, "last")
            .column(Column::Number, "smallest seed")
            .column(Column::Number, "largest seed")
            .column(Column::Number, "seeds")
            .column(Column::Number, "tokens");
        for (style, curve) in &self.lines {
            let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else {
                continue;
            };
            let number = |x: f64| Html::text(&significant(x, 4));
            table.row([
                Html::text(&style.name),
                number(first.mean),
                number(last.mean),
                number(last.low),
                number(last.high),
                Html::text(&last.n_runs.to_string()),
                Html::text(&crate::thousands(last.tokens)),
            ]);
        }
        Html::details("Numbers", table.finish())
    }
}

/// The axes of a chart.
struct Plot {
    x: Scale,
    y: Scale,
    /// The unit of the axis of tokens.
    unit: TokenUnit,
}

struct TokenUnit {
    tokens: f64,
    name: &'static str,
}

impl TokenUnit {
    fn of(most: f64) -> Self {
        let (tokens, name) = match most {
            1e10.. => (1e9, "training tokens (billions)"),
            2e6.. => (1e6, "training tokens (millions)"),
            2e3.. => (1e3, "training tokens (thousands)"),
            _ => (1.0, "training tokens"),
        };
        Self { tokens, name }
    }
}

impl Plot {
    fn around(chart: &Chart) -> Self {
        let points = || chart.lines.iter().flat_map(|(_, curve)| &curve.points);
        let values: Vec<f64> = points().flat_map(|p| [p.low, p.high]).collect();
        let most = points().map(|p| p.tokens as f64).fold(1.0, f64::max);
        let longest = chart
            .lines
            .iter()
            .map(|(style, _)| style.name.chars().count());
        let names = CHARACTER * longest.max().unwrap_or(0) as f64;
        let unit = TokenUnit::of(most);
        let x = Scale {
            low: 0.0,
            high: most / unit.tokens,
            start: LEFT,
            end: WIDTH - 20.0 - names,
        };
        Self {
            x,
            y: Scale::around(&values, chart.origin, BOTTOM, TOP),
            unit,
        }
    }

    fn at(&self, point: &BandPoint, value: f64) -> String {
        let x = self.x.at(point.tokens as f64 / self.unit.tokens);
        format!("{x:.1} {:.1}", self.y.at(value))
    }

    fn frame(&self) -> String {
        let (start, end) = (self.x.start, self.x.end);
        let mut body = String::new();
        for tick in self.y.ticks() {
            let y = self.y.at(tick);
            let _ = writeln!(
                body,
                "<path class=\"rule\" d=\"M{start:.1} {y:.1}H{end:.1}\"/><text class=\"axis end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                start - 6.0,
                y + 4.0,
                label(tick)
            );
        }
        for tick in self.x.ticks() {
            let x = self.x.at(tick);
            let _ = writeln!(
                body,
                "<path class=\"rule\" d=\"M{x:.1} {BOTTOM}v4\"/><text class=\"axis mid\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                BOTTOM + 17.0,
                label(tick)
            );
        }
        let _ = writeln!(
            body,
            "<text class=\"axis mid\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (start + end) / 2.0,
            BOTTOM + 35.0,
            self.unit.name
        );
        body
    }

    /// The range of the seeds, where there are several.
    fn band(&self, body: &mut String, style: &ArmStyle, curve: &Curve) {
        let several: Vec<&BandPoint> = curve.points.iter().filter(|p| p.n_runs > 1).collect();
        if several.len() < 2 {
            return;
        }
        let upper = several.iter().map(|p| self.at(p, p.high));
        let lower = several.iter().rev().map(|p| self.at(p, p.low));
        let path: Vec<String> = upper.chain(lower).collect();
        let _ = writeln!(
            body,
            "<path class=\"band\" style=\"fill:{}\" d=\"M{}z\"/>",
            style.colour,
            path.join("L")
        );
    }

    fn line(&self, body: &mut String, style: &ArmStyle, curve: &Curve) {
        let path: Vec<String> = curve.points.iter().map(|p| self.at(p, p.mean)).collect();
        let _ = writeln!(
            body,
            "<path class=\"line\" {} d=\"M{}\"/>",
            style.stroke(),
            path.join("L")
        );
        if curve.points.len() <= FEW {
            let dots: String = path.iter().map(|at| format!("M{at}h0")).collect();
            let _ = writeln!(
                body,
                "<path class=\"line\" style=\"stroke:{};stroke-width:6;stroke-linecap:round\" d=\"{dots}\"/>",
                style.colour
            );
        }
    }

    /// Writes what each point is, shown where a reader points at it.
    fn titles(&self, body: &mut String, style: &ArmStyle, curve: &Curve) {
        let every = curve.points.len().div_ceil(MOST_TITLES).max(1);
        for point in curve.points.iter().rev().step_by(every) {
            let x = self.x.at(point.tokens as f64 / self.unit.tokens);
            let _ = writeln!(
                body,
                "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"5\"><title>{}: {} at {} tokens</title></circle>",
                self.y.at(point.mean),
                escape(&style.name),
                significant(point.mean, 4),
                si(point.tokens as f64)
            );
        }
    }

    /// Each line's name at its end.
    fn names(&self, body: &mut String, lines: &[(&ArmStyle, &Curve)]) {
        let ends: Vec<(&ArmStyle, &BandPoint)> = lines
            .iter()
            .filter_map(|(style, curve)| Some((*style, curve.points.last()?)))
            .collect();
        let wanted: Vec<f64> = ends
            .iter()
            .map(|(_, point)| self.y.at(point.mean))
            .collect();
        let places = spread(&wanted, 15.0, TOP + 4.0, BOTTOM - 4.0);
        let right = self.x.end;
        for ((style, point), y) in ends.iter().zip(places) {
            let _ = writeln!(
                body,
                "<path class=\"tie\" d=\"M{}L{:.1} {y:.1}\"/><text class=\"name\" style=\"fill:{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                self.at(point, point.mean),
                right + 8.0,
                style.colour,
                right + 11.0,
                y + 4.5,
                escape(&style.name)
            );
        }
    }
}
