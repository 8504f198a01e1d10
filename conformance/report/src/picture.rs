//! The picture of a Record: how near each comparison comes to its limit, on a logarithmic scale. Reads nothing but the Record.

use machine::Error;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use printable::Piece;
use record::{ComparisonRecord, ModelRecord, Record};
use vocabulary::{Judgement, Measurement, Oracle, Settings, Verdict};

/// Powers of ten shown around the limit.
const DECADES: std::ops::Range<f64> = -6.0..5.0;
const WIDTH: u32 = 960;
const ROW: u32 = 26;
const MARGIN: u32 = 58;
const LABELS: u32 = 390;

/// A row of the picture: all prompts of one subject, schedule and settings on one model.
struct Row<'a> {
    label: String,
    comparisons: Vec<&'a ComparisonRecord>,
}

/// The Record as SVG, the same bytes for the same Record.
///
/// # Errors
/// Where the drawing library fails, which it does not for text.
pub fn svg(record: &Record) -> Result<String, Error> {
    let rows = rows(record);
    let mut out = String::new();
    let height = MARGIN + rows.len() as u32 * ROW + MARGIN;
    let area = SVGBackend::with_string(&mut out, (WIDTH, height)).into_drawing_area();
    let drawn = draw(&area, &rows, height).and_then(|()| area.present());
    drawn.map_err(|error| Error::input("the picture", error, "report this as a bug"))?;
    drop(area);
    Ok(out)
}

fn rows(record: &Record) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for comparison in record.comparisons.iter().filter(|comparison| comparison.oracle == Oracle::Reference) {
        let label = format!("{}  {}  {}", comparison.model, comparison.candidate, comparison.schedule);
        let is_exact =
            |model: &&ModelRecord| model.exact && model.name == comparison.model && model.weights == comparison.weights;
        let label = match comparison.settings {
            _ if record.models.iter().any(|model| is_exact(&model)) => format!("{label}, exact form"),
            Settings::Strict => format!("{label}, strict"),
            Settings::Default => label,
        };
        match rows.iter_mut().find(|row| row.label == label) {
            Some(row) => row.comparisons.push(comparison),
            None => rows.push(Row { label, comparisons: vec![comparison] }),
        }
    }
    rows
}

/// The nearest to its limit of the checks that have one above zero.
fn headroom(comparison: &ComparisonRecord) -> Option<f64> {
    let Some(Verdict::Measured { checks, .. }) = &comparison.verdict else { return None };
    let limited = |check: &&Measurement| check.limit > 0.0 || !check.holds();
    // What is no number, or must be 0 and is not, is as far beyond its limit as can be.
    let ratio = |check: &Measurement| Some(check.ratio()).filter(|ratio| ratio.is_finite()).unwrap_or(f64::MAX);
    checks.iter().filter(limited).map(ratio).max_by(f64::total_cmp)
}

fn color(judgement: Judgement) -> RGBColor {
    match judgement {
        Judgement::Pass => RGBColor(46, 125, 50),
        Judgement::ExpectedFail => RGBColor(239, 124, 0),
        Judgement::Unsupported => RGBColor(150, 150, 150),
        _ => RGBColor(198, 40, 40),
    }
}

type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Drawing<'a>, rows: &[Row<'_>], height: u32) -> Drawn<'a> {
    let plot = f64::from(WIDTH - LABELS - 30);
    let x = |decade: f64| {
        let clamped = decade.clamp(DECADES.start, DECADES.end);
        LABELS as i32 + ((clamped - DECADES.start) / (DECADES.end - DECADES.start) * plot) as i32
    };
    let bottom = (height - MARGIN) as i32;
    let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(60, 60, 60));
    let centred = |size: i32| font(size).pos(Pos::new(HPos::Center, VPos::Top));
    area.fill(&WHITE)?;
    area.draw_text("measured / limit: left of the line is within tolerance", &centred(15), (x(0.0), 14))?;
    let mut decade = DECADES.start;
    while decade <= DECADES.end {
        let style = if decade == 0.0 { RGBColor(60, 60, 60).stroke_width(2) } else { RGBColor(225, 225, 225).stroke_width(1) };
        area.draw(&PathElement::new(vec![(x(decade), MARGIN as i32 - 10), (x(decade), bottom)], style))?;
        let name = if decade == 0.0 { "limit".to_owned() } else { format!("1e{decade}") };
        area.draw_text(&name, &centred(12), (x(decade), bottom + 6))?;
        decade += 1.0;
    }
    for (index, row) in rows.iter().enumerate() {
        let y = (MARGIN + index as u32 * ROW + ROW / 2) as i32;
        area.draw_text(
            Piece::new(&row.label).as_str(),
            &font(13).pos(Pos::new(HPos::Right, VPos::Center)),
            (LABELS as i32 - 12, y),
        )?;
        for comparison in &row.comparisons {
            if let Some(ratio) = headroom(comparison) {
                let dot = Circle::new((x(ratio.log10()), y), 5, color(comparison.judgement).mix(0.6).filled());
                area.draw(&dot)?;
            }
        }
    }
    let mut at = LABELS as i32;
    for judgement in [Judgement::Pass, Judgement::ExpectedFail, Judgement::Fail] {
        area.draw(&Circle::new((at, bottom + 36), 5, color(judgement).filled()))?;
        area.draw_text(judgement.words(), &font(13).pos(Pos::new(HPos::Left, VPos::Center)), (at + 10, bottom + 36))?;
        at += 140;
    }
    Ok(())
}
