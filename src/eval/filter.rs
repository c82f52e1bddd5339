//! Which items of a data set count: `--where COLUMN=VALUE` and `COLUMN!=VALUE`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub column: String,
    pub value: String,
    /// False: rows with this value are left out.
    pub wanted: bool,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is neither COLUMN=VALUE nor COLUMN!=VALUE"))?;
        let (column, wanted) = column.strip_suffix('!').map_or((column, true), |c| (c, false));
        Ok(Self {
            column: column.to_owned(),
            value: value.to_owned(),
            wanted,
        })
    }
}

/// Whether an item passes: of several wanted values for one column any, of several columns all.
///
/// # Errors
/// A column that `value_of` does not know; it says which there are.
pub(super) fn passes<'a>(
    filters: &[Filter],
    value_of: impl Fn(&str) -> anyhow::Result<&'a str>,
) -> anyhow::Result<bool> {
    let mut any_of: BTreeMap<&str, bool> = BTreeMap::new();
    for filter in filters {
        let same = value_of(&filter.column)? == filter.value;
        if filter.wanted {
            *any_of.entry(&filter.column).or_default() |= same;
        } else if same {
            return Ok(false);
        }
    }
    Ok(any_of.values().all(|passes| *passes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_of_a_column_are_any_and_several_columns_are_all() {
        let item = BTreeMap::from([("speaker", "15"), ("split", "val"), ("twin", "")]);
        let passes = |filters: &[&str]| {
            let filters: Vec<Filter> = filters.iter().map(|f| f.parse().unwrap()).collect();
            passes(&filters, |column| {
                item.get(column)
                    .copied()
                    .ok_or_else(|| anyhow::anyhow!("no column {column}"))
            })
        };
        assert!(passes(&[]).unwrap());
        assert!(passes(&["speaker=15", "speaker=16", "split=val", "twin="]).unwrap());
        assert!(!passes(&["speaker=15", "split=train"]).unwrap());
        assert!(!passes(&["speaker!=15"]).unwrap() && passes(&["speaker!=14", "twin!=a"]).unwrap());
        assert!(passes(&["fold=1"]).is_err());
        assert!("fold".parse::<Filter>().is_err());
    }
}
