//! Sampled patients follow the exact distribution, are accepted by the default study and repeat by seed.

use clinical::{Rarity, Study, check::Raw};
use evaluate::reference::{BLOOD_TYPES, Conditional, GENDERS, Preset, Reference, Sampler, risen};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::{floats, scores};

/// p-value of Pearson's chi-square, groups with an expected count under 5 taken together.
fn chi_square(observed: &[u64], expected_share: &[f64]) -> f64 {
    let n: u64 = observed.iter().sum();
    let (mut statistic, mut groups, mut small) = (0.0, 0, (0.0, 0.0));
    for (&o, share) in observed.iter().zip(expected_share) {
        let (o, e) = (o as f64, share * n as f64);
        assert!(e > 0.0 || o == 0.0, "an impossible patient was drawn");
        if e < 5.0 {
            small = (small.0 + o, small.1 + e);
        } else {
            statistic += (o - e).powi(2) / e;
            groups += 1;
        }
    }
    if small.1 > 0.0 {
        statistic += (small.0 - small.1).powi(2) / small.1;
        groups += 1;
    }
    ChiSquared::new(f64::from(groups - 1)).unwrap().sf(statistic)
}

/// Decade of age x gender x blood x pressure x four days of exercise x severity x orphan.
const GROUPS: usize = 13 * 2 * 4 * 5 * 8 * 4 * 2;

fn group(cell: usize, severity: usize, orphan: bool) -> usize {
    let (days, rest) = (cell % 32, cell / 32);
    let (person, age) = (rest % 40, rest / 40);
    ((((age / 10) * 40 + person) * 8 + days / 4) * 4 + severity) * 2 + usize::from(orphan)
}

/// Exact shares of the groups; the split of a cell by severity and rarity comes from its diseases, one by one.
fn shares(preset: Preset, novel: bool) -> Vec<f64> {
    let reference = Reference::new(preset, novel).unwrap();
    let mut shares = vec![0.0; GROUPS / 2];
    for (cell, w) in reference.weight().iter().enumerate() {
        for (k, p) in reference.of_cell(cell).unwrap().0.iter().enumerate() {
            shares[group(cell, k, false) / 2] += w * p;
        }
    }
    shares
}

#[test]
fn patients_follow_the_exact_joint_distribution_of_inputs_and_severity() {
    for (preset, novel, seed) in
        [(Preset::Reference, false, 1), (Preset::Hard, true, 2), (Preset::Epidemiology, false, 3)]
    {
        let mut observed = vec![0; GROUPS / 2];
        for p in Sampler::new(preset, novel, seed).unwrap().take(400_000) {
            observed[group(p.cell, p.severity.index(), false) / 2] += 1;
        }
        let p = chi_square(&observed, &shares(preset, novel));
        assert!(p > 1e-3, "{preset}: p = {p}");
        // The test sees a difference where there is one: the same patients with the novel diseases' truth.
        let wrong =
            chi_square(&observed, &shares(preset, !novel).iter().map(|s| s.max(1e-12)).collect::<Vec<_>>());
        assert!(wrong < 1e-6, "{preset}: p = {wrong}");
    }
}

#[test]
fn diseases_and_orphans_come_at_their_true_rates() {
    let sampler = Sampler::new(Preset::Reference, true, 9).unwrap();
    let priors: Vec<f64> = sampler.diseases().iter().map(|d| d.prior).collect();
    let (mut observed, mut orphan_excess, mut variance) = (vec![0; priors.len()], 0.0, 0.0);
    let reference = Reference::new(Preset::Reference, true).unwrap();
    for p in sampler.clone().take(300_000) {
        observed[p.disease] += 1;
        let disease = &sampler.diseases()[p.disease];
        assert_eq!((p.severity, p.rarity), (disease.severity, disease.rarity));
        assert_eq!(p.rarity.is_none(), p.severity.index() == 0);
        assert_eq!(sampler.disease_code(&p), disease.code.as_deref());
        let (_, orphan) = reference.of_cell(p.cell).unwrap();
        orphan_excess += f64::from(u8::from(p.rarity == Some(Rarity::Orphan))) - orphan;
        variance += orphan * (1.0 - orphan);
    }
    assert!(chi_square(&observed, &priors) > 1e-3);
    assert!(orphan_excess.abs() < 4.0 * variance.sqrt(), "orphans per cell: {orphan_excess} {variance}");
}

/// Whole-mmHg pairs against the definition's own redrawn normal pairs, 400,000 per category.
#[test]
fn pressures_follow_the_redrawn_normal_pairs() {
    let stored = scores();
    let mut pairs = vec![Vec::new(); 5];
    for p in Sampler::new(Preset::Reference, false, 4).unwrap().take(1_200_000) {
        pairs[p.cell / 32 % 5].push((p.values[3], p.values[4]));
    }
    for (category, expected) in stored["pressures"].as_array().unwrap().iter().enumerate() {
        let (drawn, n) = (&pairs[category], pairs[category].len() as f64);
        assert!(n > 5_000.0, "{category}: {n}");
        // Both sides are samples.
        let error = |p: f64| 4.5 * (p * (1.0 - p) * (1.0 / n + 1.0 / 400_000.0)).sqrt();
        for (key, of) in [("systolic_at_most", 0), ("diastolic_at_most", 1)] {
            for edge in expected[key].as_array().unwrap() {
                let (at, share) = (edge[0].as_i64().unwrap(), edge[1].as_f64().unwrap());
                let below = drawn.iter().filter(|p| i64::from(if of == 0 { p.0 } else { p.1 }) <= at).count()
                    as f64
                    / n;
                assert!((below - share).abs() < error(share), "{category} {key} {at}: {below} {share}");
            }
        }
        let (means, sds) = (floats(&expected["mean"]), floats(&expected["sd"]));
        let product =
            drawn.iter().map(|&(s, d)| (f64::from(s) - means[0]) * (f64::from(d) - means[1])).sum::<f64>();
        let correlation = product / n / (sds[0] * sds[1]);
        assert!(
            (correlation - expected["correlation"].as_f64().unwrap()).abs() < 5.0 / n.sqrt(),
            "{category}: {correlation}"
        );
    }
}

#[test]
fn the_default_study_accepts_every_patient_and_sees_the_same_cell() {
    let study = Study::default_study();
    let order: Vec<&str> = study.inputs().iter().map(|i| i.name.as_str()).collect();
    assert_eq!(
        order,
        ["age_years", "gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
    );
    assert_eq!(study.domain().dims(), evaluate::reference::DIMS);
    let severities: Vec<&str> = study.severities().iter().map(|s| s.code.as_str()).collect();
    assert_eq!(severities, evaluate::reference::SEVERITIES);
    for p in Sampler::new(Preset::Easy, true, 5).unwrap().take(50_000) {
        let patient = study
            .check(|input| match input.name.as_str() {
                "gender" => Raw::Text(evaluate::reference::GENDERS[p.values[1] as usize]),
                "blood_type" => Raw::Text(evaluate::reference::BLOOD_TYPES[p.values[2] as usize]),
                name => Raw::Integer(p.values[order.iter().position(|o| *o == name).unwrap()].into()),
            })
            .unwrap();
        assert_eq!((patient.values(), study.cell(&patient)), (&p.values[..], p.cell));
    }
}

#[test]
fn the_same_seed_gives_the_same_patients() {
    let draw = |seed| Sampler::new(Preset::Reference, false, seed).unwrap().take(1000).collect::<Vec<_>>();
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let (last, all) = (draw(7).pop().unwrap(), Sampler::new(Preset::Reference, false, 7).unwrap());
    assert_eq!(
        (last.case_id(7), last.patient_id(7), last.day()),
        ("c7-999".into(), "p7-999".into(), "2025-04-20".into())
    );
    assert_eq!(all.seed(), 7);
}

/// Another release of a random-number crate must not change what a seed means without anybody noticing.
#[test]
fn the_first_patients_of_a_seed_are_pinned() {
    let first: Vec<_> =
        Sampler::new(Preset::Reference, false, 1).unwrap().take(3).map(|p| (p.values, p.disease)).collect();
    assert_eq!(
        first,
        [([9, 1, 3, 102, 50, 21], 0), ([17, 1, 3, 113, 68, 7], 1), ([31, 0, 0, 129, 60, 12], 1)]
    );
}

/// Patients of other shares whose pressures rose, against the exact distribution of such a population.
#[test]
fn other_shares_and_higher_pressures_follow_their_exact_distribution() {
    let (preset, rise) = (Preset::Reference, [9, 6]);
    let unchanged = Conditional::new(preset, [0, 0]).unwrap();
    let mut shares: Vec<f64> = unchanged.diseases().iter().map(|disease| disease.prior).collect();
    let known = Reference::new(preset, true).unwrap();
    let same = unchanged.mixed(&shares).unwrap();
    assert!(same.weight().iter().zip(known.weight()).all(|(a, b)| (a - b).abs() < 1e-15));

    let last = shares.len() - 1;
    (shares[last], shares[last - 1]) = (0.05, 0.0);
    let risen_people = Conditional::new(preset, rise).unwrap();
    let truth = risen_people.mixed(&shares).unwrap();
    let mut expected = vec![0.0; GROUPS / 2];
    for (cell, w) in truth.weight().iter().enumerate() {
        for (k, p) in truth.of_cell(cell).unwrap().0.iter().enumerate() {
            expected[group(cell, k, false) / 2] += w * p;
        }
    }
    let study = Study::default_study();
    let (mut observed, mut of_last) = (vec![0; GROUPS / 2], 0);
    for p in Sampler::of_shares(preset, &shares, 11).unwrap().take(400_000) {
        let mut values = p.values;
        [values[3], values[4]] = risen([values[3], values[4]], rise);
        let patient = study.check(|input| {
            let at = study.inputs().iter().position(|other| other.name == input.name).unwrap();
            match input.range() {
                Some(_) => Raw::Integer(values[at].into()),
                None => Raw::Text(codes(at)[values[at] as usize]),
            }
        });
        observed[group(study.cell(&patient.unwrap()), p.severity.index(), false) / 2] += 1;
        of_last += u64::from(p.disease == last);
        assert_ne!(p.disease, last - 1);
    }
    let p = chi_square(&observed, &expected);
    assert!(p > 1e-3, "p = {p}");
    let before = unchanged.mixed(&shares).unwrap();
    assert!((before.weight().iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let share = 0.05 / shares.iter().sum::<f64>();
    assert!((of_last as f64 / 400_000.0 - share).abs() < 0.0015, "{of_last}");
    // A disease by itself is a distribution, before and after.
    for of in [&unchanged, &risen_people] {
        assert!((of.given(last).unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert!(unchanged.mixed(&shares[1..]).is_err() && unchanged.given(last + 1).is_none());
    assert_eq!(risen([279, 120], [9, 6]), [280, 126]);
}

/// Codes of the gender or the blood group.
fn codes(input: usize) -> &'static [&'static str] {
    if input == 1 { &GENDERS } else { &BLOOD_TYPES }
}
