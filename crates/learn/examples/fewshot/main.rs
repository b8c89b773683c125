//! The measured side of `bench/fewshot.py`: the few-shot half on data that the bench wrote.
//!
//! ```text
//! fewshot train FOLDER EPISODES SEED         trains the embedding; CPU seconds and mean loss
//! fewshot train-burn FOLDER EPISODES SEED    the same episodes, network and optimiser through a tensor library
//! fewshot refresh FOLDER SEED                what one case more costs over all possible patients
//! fewshot margins FOLDER SEED                rarity margins, of every possible patient and out of fold
//! fewshot novel FOLDER SEED                  recall of new diseases by one and by five cases
//! ```
//!
//! Prints one JSON document. FOLDER holds raw little-endian arrays, see `data.rs`.

#![allow(clippy::print_stdout, reason = "its output is its result")]

mod cpu;
mod data;
mod quality;
mod speed;
mod tensor_library;

use std::path::Path;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().context("a number was expected");
    let answer = match arguments[..] {
        ["train", folder, episodes, seed] => {
            speed::train(&data::Data::read(Path::new(folder))?, number(episodes)?, number(seed)? as u64)?
        }
        ["train-burn", folder, episodes, seed] => tensor_library::train(
            &data::Data::read(Path::new(folder))?,
            number(episodes)?,
            number(seed)? as u64,
        )?,
        ["refresh", folder, seed] => {
            speed::refresh(&data::Data::read(Path::new(folder))?, number(seed)? as u64)?
        }
        ["margins", folder, seed] => quality::margins(Path::new(folder), number(seed)? as u64)?,
        ["novel", folder, seed] => quality::novel(Path::new(folder), number(seed)? as u64)?,
        _ => bail!("usage: fewshot train|train-burn|refresh|margins|novel FOLDER ..."),
    };
    println!("{answer}");
    Ok(())
}
