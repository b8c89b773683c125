//! The table's Shapley values against the definition and against the `shap` package.

use learn::predict::Table;
use learn::{Error, Matrix};

struct Reference {
    dims: Vec<usize>,
    model: Matrix<f64>,
    weights: Vec<(usize, f64)>,
    patients: Vec<Vec<usize>>,
    base_values: Vec<Vec<f64>>,
    values: Vec<Vec<Vec<f64>>>,
}

fn reference() -> Reference {
    let json: serde_json::Value = serde_json::from_str(include_str!("../reference/shap_exact.json")).unwrap();
    let get = |name: &str| json[name].clone();
    let model: Vec<Vec<f64>> = serde_json::from_value(get("model")).unwrap();
    let weights: Vec<f64> = serde_json::from_value(get("weights")).unwrap();
    Reference {
        dims: serde_json::from_value(get("dims")).unwrap(),
        model: Matrix::from_vec(model.len(), 2, model.concat()).unwrap(),
        weights: weights.into_iter().enumerate().collect(),
        patients: serde_json::from_value(get("patients")).unwrap(),
        base_values: serde_json::from_value(get("base_values")).unwrap(),
        values: serde_json::from_value(get("values")).unwrap(),
    }
}

fn table(reference: &Reference) -> Table {
    Table::build(&reference.dims, &reference.model, &reference.weights).unwrap()
}

fn levels(dims: &[usize], mut cell: usize) -> Vec<usize> {
    let mut levels = vec![0; dims.len()];
    for (level, dim) in levels.iter_mut().zip(dims).rev() {
        *level = cell % dim;
        cell /= dim;
    }
    levels
}

#[test]
fn agrees_with_the_shap_packages_exact_explainer() {
    let reference = reference();
    let table = table(&reference);
    assert_eq!(reference.patients.len(), 20);
    for (i, patient) in reference.patients.iter().enumerate() {
        for output in 0..2 {
            let explanation = table.explain(patient, output).unwrap();
            assert!((explanation.base - reference.base_values[i][output]).abs() < 1e-12);
            for (feature, got) in explanation.contributions.iter().enumerate() {
                let expected = reference.values[i][feature][output];
                assert!(
                    (got - expected).abs() < 1e-12,
                    "patient {i} feature {feature}: {got} against {expected}"
                );
            }
        }
    }
}

/// The mean marginal contribution over all orders in which the features can become known, each worth
/// computed by its own sum over the cohort: the definition, with nothing shared with the table.
#[test]
fn agrees_with_the_definition_over_all_orders() {
    let reference = reference();
    let table = table(&reference);
    let total: f64 = reference.weights.iter().map(|(_, weight)| weight).sum();
    let worth = |patient: &[usize], known: &[usize], output: usize| -> f64 {
        let term = |&(cell, weight): &(usize, f64)| {
            let mut mixed = levels(&reference.dims, cell);
            known.iter().for_each(|&feature| mixed[feature] = patient[feature]);
            let cell = mixed.iter().zip(&reference.dims).fold(0, |cell, (level, dim)| cell * dim + level);
            weight / total * reference.model.row(cell)[output]
        };
        reference.weights.iter().map(term).sum()
    };
    let orders = permutations(4);
    assert_eq!(orders.len(), 24);
    for cell in [0, 17, 101, 209] {
        let patient = levels(&reference.dims, cell);
        for output in 0..2 {
            let mut expected = [0.0; 4];
            for order in &orders {
                for (position, &feature) in order.iter().enumerate() {
                    let gain = worth(&patient, &order[..=position], output)
                        - worth(&patient, &order[..position], output);
                    expected[feature] += gain / 24.0;
                }
            }
            let got = table.explain(&patient, output).unwrap();
            for (got, expected) in got.contributions.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-12, "{got} against {expected}");
            }
        }
    }
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| insert(order, at))).collect()
}

#[test]
fn every_explanation_adds_up_to_its_prediction() {
    let reference = reference();
    let table = table(&reference);
    for cell in 0..table.patients() {
        let patient = levels(&reference.dims, cell);
        assert_eq!(table.predict(&patient).unwrap(), reference.model.row(cell));
        assert_eq!(table.predict_cell(cell), reference.model.row(cell));
        for output in 0..2 {
            let explanation = table.explain(&patient, output).unwrap();
            let sum = explanation.base + explanation.contributions.iter().sum::<f64>();
            assert!((sum - reference.model.row(cell)[output]).abs() < 1e-12);
            assert_eq!(explanation.base, table.base()[output]);
        }
    }
}

#[test]
fn the_file_comes_back_and_damage_is_refused() {
    let table = table(&reference());
    let bytes = table.to_bytes().unwrap();
    assert_eq!(Table::from_bytes(&bytes).unwrap(), table);
    assert_eq!(bytes, table.to_bytes().unwrap(), "the same table is the same file");
    let refused =
        |bytes: &[u8]| matches!(Table::from_bytes(bytes), Err(Error::Malformed { .. } | Error::Shape { .. }));
    for cut in [0, 7, 15, 30, bytes.len() / 2, bytes.len() - 1] {
        assert!(refused(&bytes[..cut]), "cut at {cut}");
    }
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    for at in [0, 8, 12, 16, 20, 50, bytes.len() / 2, bytes.len() - 2] {
        assert!(refused(&changed(at)), "changed at {at}");
    }
    assert!(refused(&[bytes.clone(), vec![0]].concat()), "something follows");
}

#[test]
fn shapes_and_limits_are_checked() {
    let f = Matrix::zeros(6, 2);
    assert!(Table::build(&[2, 4], &f, &[(0, 1.0)]).is_err());
    assert!(Table::build(&[2, 3], &f, &[(6, 1.0)]).is_err());
    assert!(Table::build(&[2, 3], &f, &[(0, 0.0)]).is_err());
    assert!(Table::build(&[2, 3], &f, &[(0, f64::NAN)]).is_err());
    let table = Table::build(&[2, 3], &f, &[(0, 1.0)]).unwrap();
    assert!(table.predict(&[1, 3]).is_err() && table.predict(&[1]).is_err());
    assert!(table.explain(&[1, 2], 2).is_err());
    assert!(table.predict_cell(6).is_empty());
    assert_eq!(Table::possible(&[121, 2, 4, 5, 32], 5, 20_000_000), Some(154_880));
    assert_eq!(Table::possible(&[121, 2, 4, 5, 32, 561], 5, 20_000_000), None);
    assert_eq!(Table::possible(&[usize::MAX, 2], 5, usize::MAX), None);
}
