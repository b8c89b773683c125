//! How fast the sampler draws and a report with intervals is made: `cargo run --release -p evaluate --example speed`.

#![expect(clippy::print_stdout, reason = "an example that prints its measurements")]

use std::{collections::BTreeMap, time::Instant};

use evaluate::{
    Answer, Bootstrap, Cells, InputLimit, evaluate,
    reference::{Preset, Reference, SEVERITIES, SIZE, Sampler},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let reference = Reference::new(Preset::Reference, false)?;
    println!("exact truth of {SIZE} cells: {:.3} s", start.elapsed().as_secs_f64());

    let decided = reference.population()?.most_probable();
    let start = Instant::now();
    let score = reference.score(reference.orphan(), &decided)?;
    println!("exact score (macro F1 {:.4}): {:.3} s", score.macro_f1, start.elapsed().as_secs_f64());

    let (rows, start) = (20_000_000, Instant::now());
    let sum: usize =
        Sampler::new(Preset::Reference, false, 1)?.take(rows).map(|p| p.cell ^ p.values[3] as usize).sum();
    let seconds = start.elapsed().as_secs_f64();
    println!("sampler: {:.1} million rows/s (checksum {sum})", rows as f64 / seconds / 1e6);

    for patients in [1_500, 10_000, 80_000, 5_000_000] {
        let mut cohort: BTreeMap<usize, [u64; 8]> = BTreeMap::new();
        for p in Sampler::new(Preset::Reference, false, 2)?.take(patients) {
            let orphan = usize::from(p.rarity == Some(clinical::Rarity::Orphan));
            cohort.entry(p.cell).or_default()[2 * p.severity.index() + orphan] += 1;
        }
        let (mut cells, mut counts) = (Cells::new(&SEVERITIES)?, vec![0; SIZE]);
        for (&cell, of_cell) in &cohort {
            let (probabilities, orphan) = reference.of_cell(cell).ok_or("no such cell")?;
            let decided = clinical::Severity(decided[cell]);
            cells.push(&Answer { probabilities, orphan, decided, alarm: orphan > 0.3 }, of_cell)?;
            counts[cell] = of_cell.iter().sum();
        }
        let start = Instant::now();
        let report = evaluate(&cells, &Bootstrap::default())?;
        let full = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let limit = InputLimit::of_table(
            4,
            &counts,
            reference.severity(),
            reference.orphan(),
            0.7,
            &Bootstrap::default(),
        )?;
        println!(
            "{patients} patients in {} cells: report {full:.3} s, limit {:.3} s\n  {:?}\n  {:?}\n  {:?}",
            cells.len(),
            start.elapsed().as_secs_f64(),
            report.figures.f1_common,
            report.figures.orphan_average_precision,
            limit.macro_f1,
        );
    }
    Ok(())
}
