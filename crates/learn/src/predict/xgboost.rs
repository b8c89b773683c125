//! A bounded reader of XGBoost's models in their UBJSON form: answering without the C++ library.
//!
//! Accepted is what this crate trains: `multi:softprob`, `gbtree`, numeric splits, one number per
//! leaf. Anything else is an error that says so, never a guess.

use super::ubjson::Value;
use crate::{Error, Result};

/// Largest model file, and most nodes, that are read.
const LARGEST_FILE: usize = 1 << 30;
const MOST_NODES: usize = 50_000_000;

/// A node: a split when `children` are set, else a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    /// The threshold of a split (`x < value` goes left), or the leaf's number.
    value: f32,
    column: u32,
    /// Positions of the left and right child; zero for a leaf, as the root is nobody's child.
    left: u32,
    right: u32,
    default_left: bool,
}

/// The trees of one booster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forest {
    columns: usize,
    base: Vec<f32>,
    /// Root and class of each tree, in the order of training.
    trees: Vec<(u32, u32)>,
    nodes: Vec<Node>,
}

impl Forest {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming `file` and what is missing, unexpected or out of bounds.
    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LARGEST_FILE {
            return Err(Error::malformed(file, "the model is too large"));
        }
        let model = Value::parse(bytes).map_err(|why| Error::malformed(file, why))?;
        forest(&model).map_err(|why| Error::malformed(file, why))
    }

    /// Columns of an encoded row.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Classes.
    pub(super) fn outputs(&self) -> usize {
        self.base.len()
    }

    /// The margins of one encoded row, into `margins` (as many as classes): base scores plus one
    /// leaf of every tree, added in single precision in the library's order.
    pub(super) fn margins(&self, row: &[f32], margins: &mut [f32]) {
        margins.iter_mut().zip(&self.base).for_each(|(margin, base)| *margin = *base);
        for &(root, class) in &self.trees {
            if let Some(margin) = margins.get_mut(class as usize) {
                *margin += self.leaf(root, row);
            }
        }
    }

    fn leaf(&self, root: u32, row: &[f32]) -> f32 {
        let mut at = root;
        // Children lie behind their parents (checked on reading), so this ends.
        while let Some(node) = self.nodes.get(at as usize) {
            if node.left == 0 {
                return node.value;
            }
            let x = row.get(node.column as usize).copied().unwrap_or(f32::NAN);
            at = if x.is_nan() && node.default_left || x < node.value { node.left } else { node.right };
        }
        0.0
    }
}

type Read<T> = std::result::Result<T, String>;

fn forest(model: &Value) -> Read<Forest> {
    if model.numbers("version")?.first() != Some(&3.0) {
        return Err("it was not written by XGBoost 3".into());
    }
    expect(model, "learner/objective/name", "multi:softprob")?;
    expect(model, "learner/gradient_booster/name", "gbtree")?;
    let columns: usize = number(model, "learner/learner_model_param/num_feature")?;
    let classes: usize = number(model, "learner/learner_model_param/num_class")?;
    expect(model, "learner/learner_model_param/num_target", "1")?;
    if columns == 0 || columns > 1 << 20 || !(2..=1 << 16).contains(&classes) {
        return Err("its number of columns or classes is out of bounds".into());
    }
    let base: Vec<f32> = serde_json::from_str(model.text("learner/learner_model_param/base_score")?)
        .map_err(|_| "its base_score is no list of numbers".to_owned())?;
    if base.len() != classes || base.iter().any(|base| !base.is_finite()) {
        return Err("its base_score does not fit its classes".into());
    }
    let booster = model.at("learner/gradient_booster/model")?;
    expect(booster, "gbtree_model_param/num_parallel_tree", "1")?;
    let (trees, info) = (booster.list("trees")?, booster.numbers("tree_info")?);
    if trees.len() != info.len() || number::<usize>(booster, "gbtree_model_param/num_trees")? != trees.len() {
        return Err("its number of trees contradicts itself".into());
    }
    let mut forest = Forest { columns, base, trees: Vec::with_capacity(trees.len()), nodes: Vec::new() };
    for (i, (tree, &class)) in trees.iter().zip(info).enumerate() {
        let class = position(class, classes).ok_or_else(|| format!("tree {i} has no class"))?;
        let root = u32::try_from(forest.nodes.len()).map_err(|_| "it has too many nodes")?;
        read_tree(tree, columns, &mut forest.nodes).map_err(|why| format!("tree {i}: {why}"))?;
        forest.trees.push((root, class));
    }
    Ok(forest)
}

fn read_tree(tree: &Value, columns: usize, nodes: &mut Vec<Node>) -> Read<()> {
    expect(tree, "tree_param/size_leaf_vector", "1")?;
    if !tree.numbers("categories")?.is_empty() || tree.numbers("split_type")?.iter().any(|&kind| kind != 0.0)
    {
        return Err("categorical splits are not supported".into());
    }
    let (left, right) = (tree.numbers("left_children")?, tree.numbers("right_children")?);
    let (split, default) = (tree.numbers("split_indices")?, tree.numbers("default_left")?);
    let values = tree.numbers("split_conditions")?;
    let count = left.len();
    if count == 0 || [right.len(), split.len(), default.len(), values.len()].iter().any(|&len| len != count) {
        return Err("its lists have different lengths".into());
    }
    let root = nodes.len();
    if root + count > MOST_NODES {
        return Err("there are too many nodes".into());
    }
    for i in 0..count {
        let value = values[i] as f32;
        if !value.is_finite() {
            return Err("a threshold or leaf is no number".into());
        }
        let (left, right) = (left[i], right[i]);
        if left == -1.0 && right == -1.0 {
            nodes.push(Node { value, column: 0, left: 0, right: 0, default_left: false });
            continue;
        }
        let child = |to: f64| position(to, count).filter(|&to| to as usize > i).map(|to| root as u32 + to);
        let (Some(left), Some(right)) = (child(left), child(right)) else {
            return Err("a child does not lie behind its parent".into());
        };
        let column = position(split[i], columns).ok_or("a split is on a column that does not exist")?;
        nodes.push(Node { value, column, left, right, default_left: default[i] != 0.0 });
    }
    Ok(())
}

fn expect(value: &Value, path: &str, expected: &str) -> Read<()> {
    let got = value.text(path)?;
    if got == expected { Ok(()) } else { Err(format!("{path} is {got:?}, only {expected:?} is supported")) }
}

fn number<T: std::str::FromStr>(value: &Value, path: &str) -> Read<T> {
    value.text(path)?.parse().map_err(|_| format!("{path} is no number"))
}

/// A number that is a position below `end`.
fn position(number: f64, end: usize) -> Option<u32> {
    (number.fract() == 0.0 && number >= 0.0 && number < end as f64).then_some(number as u32)
}
