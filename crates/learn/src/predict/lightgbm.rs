//! A bounded reader of LightGBM's text models: answering without the C++ library.
//!
//! Accepted is what this crate trains: `multiclass`, numeric splits, one number per leaf. Anything else
//! is an error that says so, never a guess.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::{Error, Result};

/// Largest model file that is read.
const LARGEST_FILE: usize = 1 << 30;

/// Bits of a node's `decision_type`: a split by category, the side of a missing value, what is missing.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;
const MISSING: u8 = 12;
const MISSING_NONE: u8 = 0;
const MISSING_NAN: u8 = 8;

/// A split: `x <= threshold` goes left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    threshold: f64,
    column: u32,
    decision: u8,
    left: Child,
    right: Child,
}

/// Position in [`Forest::splits`] or [`Forest::leaves`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Child {
    Split(u32),
    Leaf(u32),
}

/// The trees of one booster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forest {
    columns: usize,
    classes: usize,
    /// Root of each tree, in the order of training: round by round, class by class.
    trees: Vec<Child>,
    splits: Vec<Split>,
    leaves: Vec<f64>,
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
        let text = std::str::from_utf8(bytes).map_err(|_| Error::malformed(file, "it is no text"))?;
        forest(text).map_err(|why| Error::malformed(file, why))
    }

    /// Columns of an encoded row.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Classes.
    pub(super) fn outputs(&self) -> usize {
        self.classes
    }

    /// The margins of one encoded row, into `margins` (as many as classes): one leaf of every tree,
    /// added in double precision in the library's order.
    pub(super) fn margins(&self, row: &[f32], margins: &mut [f32]) {
        for (class, margin) in margins.iter_mut().enumerate() {
            let trees = self.trees.iter().skip(class).step_by(self.classes);
            *margin = trees.map(|&root| self.leaf(root, row)).sum::<f64>() as f32;
        }
    }

    fn leaf(&self, root: Child, row: &[f32]) -> f64 {
        let mut at = root;
        loop {
            match at {
                Child::Leaf(leaf) => return self.leaves.get(leaf as usize).copied().unwrap_or_default(),
                // Children lie behind their parents (checked on reading), so this ends.
                Child::Split(split) => match self.splits.get(split as usize) {
                    Some(split) => at = split.child(row),
                    None => return 0.0,
                },
            }
        }
    }
}

impl Split {
    fn child(&self, row: &[f32]) -> Child {
        let x = row.get(self.column as usize).map_or(f64::NAN, |&x| f64::from(x));
        let left = match (x.is_nan(), self.decision & MISSING) {
            (true, MISSING_NAN) => self.decision & DEFAULT_LEFT != 0,
            (true, _) => 0.0 <= self.threshold,
            (false, _) => x <= self.threshold,
        };
        if left { self.left } else { self.right }
    }
}

type Read<T> = std::result::Result<T, String>;

/// The `name=value` lines of one part of the file.
struct Section<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Section<'a> {
    fn of(text: &'a str) -> Self {
        Section(text.lines().filter_map(|line| line.split_once('=')).collect())
    }

    fn text(&self, name: &str) -> Read<&'a str> {
        self.0.get(name).copied().ok_or_else(|| format!("{name} is missing"))
    }

    fn number<T: FromStr>(&self, name: &str) -> Read<T> {
        self.text(name)?.trim().parse().map_err(|_| format!("{name} is no number"))
    }

    fn numbers<T: FromStr>(&self, name: &str, count: usize) -> Read<Vec<T>> {
        let words = self.text(name)?.split_ascii_whitespace();
        let numbers: Read<Vec<T>> =
            words.map(|word| word.parse().map_err(|_| format!("{name} holds no number"))).collect();
        let numbers = numbers?;
        if numbers.len() == count {
            Ok(numbers)
        } else {
            Err(format!("{name} does not have {count} numbers"))
        }
    }

    fn expect(&self, name: &str, expected: &str) -> Read<()> {
        match self.text(name)?.trim() {
            got if got == expected => Ok(()),
            got => Err(format!("{name} is {got:?}, only {expected:?} is supported")),
        }
    }
}

fn forest(text: &str) -> Read<Forest> {
    let mut rest = text.strip_prefix("tree\n").ok_or("it does not begin as a LightGBM model does")?;
    let body = rest.find("\nend of trees").ok_or("it has no end of trees")?;
    rest = &rest[..body];
    let mut parts = rest.split("\nTree=");
    let head = Section::of(parts.next().unwrap_or_default());
    head.expect("version", "v4")?;
    let classes: usize = head.number("num_class")?;
    if !(2..=1 << 16).contains(&classes) {
        return Err("its number of classes is out of bounds".into());
    }
    head.expect("num_tree_per_iteration", &classes.to_string())?;
    head.expect("objective", &format!("multiclass num_class:{classes}"))?;
    if rest.lines().any(|line| line == "average_output") {
        return Err("averaged outputs are not supported".into());
    }
    let columns = head.number::<usize>("max_feature_idx")?.saturating_add(1);
    if columns > 1 << 20 {
        return Err("its number of columns is out of bounds".into());
    }
    let mut forest = Forest { columns, classes, trees: Vec::new(), splits: Vec::new(), leaves: Vec::new() };
    for (i, tree) in parts.enumerate() {
        let (number, tree) = tree.split_once('\n').unwrap_or_default();
        if number.trim().parse() != Ok(i) {
            return Err(format!("tree {i} is not in its place"));
        }
        let root = read_tree(&Section::of(tree), &mut forest).map_err(|why| format!("tree {i}: {why}"))?;
        forest.trees.push(root);
    }
    if !forest.trees.len().is_multiple_of(classes) {
        return Err("its last round is not whole".into());
    }
    Ok(forest)
}

fn read_tree(tree: &Section<'_>, forest: &mut Forest) -> Read<Child> {
    tree.expect("num_cat", "0")?;
    tree.expect("is_linear", "0")?;
    let count: usize = tree.number("num_leaves")?;
    let leaves: Vec<f64> = tree.numbers("leaf_value", count)?;
    if count == 0 || leaves.iter().any(|leaf| !leaf.is_finite()) {
        return Err("a leaf is no number".into());
    }
    let place = |length: usize| u32::try_from(length).map_err(|_| "there are too many nodes".to_owned());
    let (first_split, first_leaf) = (place(forest.splits.len())?, place(forest.leaves.len())?);
    place(forest.splits.len().max(forest.leaves.len()) + count)?;
    forest.leaves.extend(leaves);
    let splits = count - 1;
    if splits == 0 {
        return Ok(Child::Leaf(first_leaf));
    }
    let columns: Vec<u32> = tree.numbers("split_feature", splits)?;
    let thresholds: Vec<f64> = tree.numbers("threshold", splits)?;
    let decisions: Vec<u8> = tree.numbers("decision_type", splits)?;
    let (left, right): (Vec<i64>, Vec<i64>) =
        (tree.numbers("left_child", splits)?, tree.numbers("right_child", splits)?);
    for i in 0..splits {
        // A child below zero is the complement of a leaf's position.
        let child = |to: i64| -> Read<Child> {
            let (position, end) = if to < 0 { (!to, count) } else { (to, splits) };
            let position = u32::try_from(position).ok().filter(|&p| (p as usize) < end);
            let position = position.ok_or("a child does not exist")?;
            match to {
                ..0 => Ok(Child::Leaf(first_leaf + position)),
                _ if position as usize > i => Ok(Child::Split(first_split + position)),
                _ => Err("a child does not lie behind its parent".into()),
            }
        };
        if columns[i] as usize >= forest.columns {
            return Err("a split is on a column that does not exist".into());
        }
        let (threshold, decision) = (thresholds[i], decisions[i]);
        if threshold.is_nan()
            || decision & CATEGORICAL != 0
            || ![MISSING_NONE, MISSING_NAN].contains(&(decision & MISSING))
        {
            return Err("only splits of numbers at a threshold are supported".into());
        }
        forest.splits.push(Split {
            threshold,
            column: columns[i],
            decision,
            left: child(left[i])?,
            right: child(right[i])?,
        });
    }
    Ok(Child::Split(first_split))
}
