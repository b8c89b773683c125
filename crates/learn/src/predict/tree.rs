//! A bounded reader of XGBoost's JSON models: answering without the C++ library.
//!
//! Accepted is what this crate trains: `multi:softprob`, `gbtree`, numeric splits, one number per
//! leaf. Anything else is an error that says so, never a guess.

use serde_json::Value;

use crate::{Error, Matrix, Result};

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
pub struct Forest {
    columns: usize,
    base: Vec<f32>,
    /// Root and class of each tree, in the order of training.
    trees: Vec<(u32, u32)>,
    nodes: Vec<Node>,
}

impl Forest {
    /// Reads the JSON form of a model.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming `file` and what is missing, unexpected or out of bounds.
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        if json.len() > LARGEST_FILE {
            return Err(Error::malformed(file, "the model is too large"));
        }
        let model: Value = serde_json::from_slice(json).map_err(|error| Error::malformed(file, error))?;
        read(&model).map_err(|why| Error::malformed(file, why))
    }

    /// Columns of an encoded row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Classes.
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// The margins of one encoded row, into `margins` (as many as classes): base scores plus one
    /// leaf of every tree, added in single precision in the library's order.
    pub fn margins(&self, row: &[f32], margins: &mut [f32]) {
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

    /// The margins of every row of `x`, `n x classes`.
    ///
    /// # Errors
    /// When the columns differ from the model's.
    pub fn score(&self, x: &Matrix<f32>) -> Result<Matrix<f32>> {
        if x.columns() != self.columns {
            return Err(Error::shape("columns of the rows to score", self.columns, x.columns()));
        }
        let mut margins = Matrix::zeros(x.rows(), self.outputs());
        for (i, row) in x.iter_rows().enumerate() {
            self.margins(row, margins.row_mut(i));
        }
        Ok(margins)
    }
}

type Read<T> = std::result::Result<T, String>;

fn read(model: &Value) -> Read<Forest> {
    let major = at(model, "/version/0")?.as_u64();
    if major != Some(3) {
        return Err("it was not written by XGBoost 3".into());
    }
    expect(model, "/learner/objective/name", "multi:softprob")?;
    expect(model, "/learner/gradient_booster/name", "gbtree")?;
    let columns: usize = number(model, "/learner/learner_model_param/num_feature")?;
    let classes: usize = number(model, "/learner/learner_model_param/num_class")?;
    expect(model, "/learner/learner_model_param/num_target", "1")?;
    if columns == 0 || columns > 1 << 20 || !(2..=1 << 16).contains(&classes) {
        return Err("its number of columns or classes is out of bounds".into());
    }
    let base: Vec<f32> = serde_json::from_str(text(model, "/learner/learner_model_param/base_score")?)
        .map_err(|_| "its base_score is no list of numbers".to_owned())?;
    if base.len() != classes || base.iter().any(|base| !base.is_finite()) {
        return Err("its base_score does not fit its classes".into());
    }
    let booster = at(model, "/learner/gradient_booster/model")?;
    expect(booster, "/gbtree_model_param/num_parallel_tree", "1")?;
    let (trees, info) = (list(booster, "/trees")?, integers(booster, "/tree_info")?);
    if trees.len() != info.len() || number::<usize>(booster, "/gbtree_model_param/num_trees")? != trees.len()
    {
        return Err("its number of trees contradicts itself".into());
    }
    let mut forest = Forest { columns, base, trees: Vec::with_capacity(trees.len()), nodes: Vec::new() };
    for (i, (tree, class)) in trees.iter().zip(info).enumerate() {
        let class = u32::try_from(class).ok().filter(|&class| (class as usize) < classes);
        let class = class.ok_or_else(|| format!("tree {i} has no class"))?;
        let root = u32::try_from(forest.nodes.len()).map_err(|_| "it has too many nodes")?;
        read_tree(tree, columns, &mut forest.nodes).map_err(|why| format!("tree {i}: {why}"))?;
        forest.trees.push((root, class));
    }
    Ok(forest)
}

fn read_tree(tree: &Value, columns: usize, nodes: &mut Vec<Node>) -> Read<()> {
    expect(tree, "/tree_param/size_leaf_vector", "1")?;
    if !list(tree, "/categories")?.is_empty() || integers(tree, "/split_type")?.iter().any(|&kind| kind != 0)
    {
        return Err("categorical splits are not supported".into());
    }
    let (left, right) = (integers(tree, "/left_children")?, integers(tree, "/right_children")?);
    let (split, default) = (integers(tree, "/split_indices")?, list(tree, "/default_left")?);
    let values = list(tree, "/split_conditions")?;
    let count = left.len();
    if count == 0 || [right.len(), split.len(), default.len(), values.len()].iter().any(|&len| len != count) {
        return Err("its lists have different lengths".into());
    }
    let root = nodes.len();
    if root + count > MOST_NODES {
        return Err("there are too many nodes".into());
    }
    for i in 0..count {
        let value = values[i].as_f64().map(|value| value as f32).filter(|value| value.is_finite());
        let value = value.ok_or("a threshold or leaf is no number")?;
        let (left, right) = (left[i], right[i]);
        if left == -1 && right == -1 {
            nodes.push(Node { value, column: 0, left: 0, right: 0, default_left: false });
            continue;
        }
        let child = |to: i64| {
            usize::try_from(to).ok().filter(|&to| to > i && to < count).map(|to| (root + to) as u32)
        };
        let (Some(left), Some(right)) = (child(left), child(right)) else {
            return Err("a child does not lie behind its parent".into());
        };
        let column = u32::try_from(split[i]).ok().filter(|&column| (column as usize) < columns);
        let column = column.ok_or("a split is on a column that does not exist")?;
        let default_left = match &default[i] {
            Value::Bool(left) => *left,
            number => number.as_u64() == Some(1),
        };
        nodes.push(Node { value, column, left, right, default_left });
    }
    Ok(())
}

fn at<'a>(value: &'a Value, path: &str) -> Read<&'a Value> {
    value.pointer(path).ok_or_else(|| format!("{path} is missing"))
}

fn text<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    at(value, path)?.as_str().ok_or_else(|| format!("{path} is no text"))
}

fn expect(value: &Value, path: &str, expected: &str) -> Read<()> {
    let got = text(value, path)?;
    if got == expected { Ok(()) } else { Err(format!("{path} is {got:?}, only {expected:?} is supported")) }
}

fn number<T: std::str::FromStr>(value: &Value, path: &str) -> Read<T> {
    text(value, path)?.parse().map_err(|_| format!("{path} is no number"))
}

fn list<'a>(value: &'a Value, path: &str) -> Read<&'a [Value]> {
    at(value, path)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("{path} is no list"))
}

fn integers(value: &Value, path: &str) -> Read<Vec<i64>> {
    list(value, path)?
        .iter()
        .map(|item| item.as_i64().ok_or_else(|| format!("{path} holds no whole number")))
        .collect()
}
