//! Quotas in the form of a manifest's table and of flags.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use disperse_scheduler::Quota;
use serde::{Deserialize, Serialize};

use disperse_protocol::inbox::is_reported;

use disperse_protocol::units::Time;

/// A quota of one account at a service. Either `limit` and `per`, or `concurrent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QuotaTable {
    /// Its name in workers' reports of the remaining units. Default: none, which suffices for the only quota that is not
    /// `concurrent`.
    #[serde(default)]
    pub name: String,
    /// Number of units in `per`.
    pub limit: Option<u32>,
    /// The period of `limit`.
    pub per: Option<Time>,
    /// How the service counts the units. Default `sliding`, which also keeps within a fixed window.
    pub window: Option<WindowTable>,
    /// Number of units available at once after a pause. It makes this a steady rate, which earns `limit` units per `per`.
    pub burst: Option<u32>,
    /// Number of attempts at once.
    pub concurrent: Option<u32>,
    /// Cost of an action in units, by kind. Default 1.
    #[serde(default)]
    pub costs: BTreeMap<String, u32>,
}

/// How a service counts units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WindowTable {
    /// `limit` units in any period of this length.
    Sliding,
    /// `limit` units in each window. The end of a window is known once a worker reports it.
    Fixed,
}

impl QuotaTable {
    /// The quota that the table describes.
    ///
    /// # Errors
    /// The table is invalid; the text is the reason.
    pub fn quota(&self) -> Result<Quota, String> {
        let quota = match (self.limit, self.per, self.concurrent, self.burst, self.window) {
            (None, None, Some(limit), None, None) => Quota::Concurrent { limit },
            (Some(limit), Some(time), None, Some(burst), None) => Quota::Rate {
                limit,
                per: time.duration(),
                burst,
            },
            (Some(limit), Some(time), None, None, Some(WindowTable::Fixed)) => Quota::Fixed {
                limit,
                per: time.duration(),
            },
            (Some(limit), Some(time), None, None, _) => Quota::Sliding {
                limit,
                per: time.duration(),
            },
            (Some(_), None, ..) => return Err("`limit` is without `per`, its period".to_owned()),
            (None, Some(_), ..) => return Err("`per` is without `limit`".to_owned()),
            (None, None, None, ..) => return Err("it has neither `limit` with `per` nor `concurrent`".to_owned()),
            (Some(_), _, Some(_), ..) => {
                return Err("`limit` and `concurrent` are two quotas; write two tables".to_owned());
            }
            (_, _, _, Some(_), Some(_)) => {
                return Err("`burst` makes it a steady rate, which has no `window`".to_owned());
            }
            (None, None, Some(_), ..) => {
                return Err("`concurrent` cannot be combined with other keys of a quota".to_owned());
            }
        };
        quota.check().map_err(|error| error.to_string())?;
        match self.costs.iter().find(|(_, cost)| **cost == 0 || **cost > quota.most()) {
            Some((kind, 0)) => Err(format!("the kind `{kind}` costs 0 units; the minimum is 1")),
            Some((kind, cost)) => Err(format!(
                "the kind `{kind}` costs {cost} units, more than the {} that can be spent at once",
                quota.most()
            )),
            None => Ok(quota),
        }
    }
}

impl FromStr for QuotaTable {
    type Err = String;

    /// `LIMIT/TIME`, `LIMIT/TIME,fixed`, `LIMIT/TIME,burst=N` or `concurrent=N`, each with `,name=NAME` if it has one.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("`{text}` is not a quota; write `100/10s`, `100/10s,fixed`, `10/1s,burst=20` or `concurrent=4`");
        let number = |digits: &str| digits.trim().parse().map_err(|_| wanted());
        let mut table = Self::default();
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            match (index, part.split_once('=')) {
                (0, Some(("concurrent", limit))) => table.concurrent = Some(number(limit)?),
                (0, None) => {
                    let (limit, per) = part.split_once('/').ok_or_else(wanted)?;
                    table.limit = Some(number(limit)?);
                    table.per = Some(per.trim().parse().map_err(|_| wanted())?);
                }
                (1.., Some(("burst", burst))) => table.burst = Some(number(burst)?),
                (1.., Some(("name", name))) => name.trim().clone_into(&mut table.name),
                (1.., None) if part == "fixed" => table.window = Some(WindowTable::Fixed),
                (1.., None) if part == "sliding" => table.window = Some(WindowTable::Sliding),
                _ => return Err(wanted()),
            }
        }
        table.quota()?;
        Ok(table)
    }
}

/// A worker that uses quotas.
#[derive(Clone, Copy, Debug)]
pub struct Spender<'a> {
    pub name: &'a str,
    /// Its own quotas, in place of those of the pool.
    pub quota: Option<&'a [QuotaTable]>,
    /// The account whose quotas it uses. None: its own.
    pub account: Option<&'a str>,
}

/// Checks the quotas of a pool, `all` with the pool's description, and of each of its workers. `called` describes a worker, by
/// its name.
///
/// # Errors
/// The first invalid quota, with the worker or pool that it belongs to.
pub fn check_quotas<'a>(
    all: (&str, &[QuotaTable]),
    spenders: impl IntoIterator<Item = Spender<'a>>,
    called: impl Fn(&str) -> String,
) -> Result<(), String> {
    check(all.0, all.1)?;
    let mut accounts: BTreeMap<&str, &str> = BTreeMap::new();
    for spender in spenders {
        let subject = called(spender.name);
        check(&subject, spender.quota.unwrap_or_default())?;
        let Some(account) = spender.account else { continue };
        let first = *accounts.entry(account).or_insert(spender.name);
        // The first worker of an account sets the quotas for all.
        if spender.quota.is_some() && first != spender.name {
            return Err(wrong(
                &subject,
                &format!("`{first}` has the same account, `{account}`, and sets the quotas of both"),
            ));
        }
    }
    Ok(())
}

fn check(subject: &str, tables: &[QuotaTable]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for table in tables {
        let quota = table.quota().map_err(|why| wrong(subject, &why))?;
        if is_reported(&table.name, quota) && !names.insert(&table.name) {
            let twice = match table.name.as_str() {
                "" => "two have no `name`, which workers need to report on each".to_owned(),
                name => format!("two are named `{name}`"),
            };
            return Err(wrong(subject, &twice));
        }
    }
    Ok(())
}

fn wrong(subject: &str, why: &str) -> String {
    format!("invalid quota of {subject}: {why}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn quotas_are_parsed_from_text() {
        let quota = |text: &str| text.parse::<QuotaTable>().and_then(|table| table.quota());
        let ten = Duration::from_secs(10);
        assert_eq!(quota("100/10s"), Ok(Quota::Sliding { limit: 100, per: ten }));
        assert_eq!(quota("100/10s, fixed"), Ok(Quota::Fixed { limit: 100, per: ten }));
        let rate = Quota::Rate {
            limit: 10,
            per: ten,
            burst: 20,
        };
        assert_eq!(quota("10/10s,burst=20"), Ok(rate));
        assert_eq!(quota("concurrent=4"), Ok(Quota::Concurrent { limit: 4 }));
        let named: QuotaTable = "100/10s,name=search".parse().unwrap();
        assert_eq!(named.name, "search");
        for wrong in [
            "",
            "100",
            "/10s",
            "100/",
            "0/10s",
            "100/0s",
            "100/10s,fixed,burst=2",
            "100/10s,of",
            "burst=2",
        ] {
            assert!(quota(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_quotas_that_workers_report_on_need_names() {
        let tables = |texts: &[&str]| -> Vec<QuotaTable> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let check = |texts: &[&str]| check("the pool", &tables(texts));
        assert_eq!(check(&["5000/1h", "concurrent=4"]), Ok(()));
        assert_eq!(check(&["5000/1h", "100/1min,name=short", "concurrent=4"]), Ok(()));
        assert!(check(&["5000/1h", "100/1min"]).unwrap_err().contains("`name`"));
        assert!(
            check(&["5000/1h,name=a", "concurrent=1,name=a"])
                .unwrap_err()
                .contains("`a`")
        );
    }

    #[test]
    fn error_on_an_invalid_table_names_the_reason() {
        let table = |text: &str| toml::from_str::<QuotaTable>(text).unwrap().quota();
        assert!(table("limit = 1").unwrap_err().contains("`per`"));
        assert!(
            table("limit = 1\nper = \"1s\"\nconcurrent = 2")
                .unwrap_err()
                .contains("two")
        );
        assert!(
            table("limit = 1\nper = \"1s\"\ncosts = { a = 0 }")
                .unwrap_err()
                .contains("`a`")
        );
        for (table, most) in [
            (table("limit = 10\nper = \"1s\"\ncosts = { a = 10, b = 11 }"), 10),
            (table("limit = 100\nper = \"1s\"\nburst = 3\ncosts = { b = 4 }"), 3),
            (table("concurrent = 2\ncosts = { b = 3 }"), 2),
        ] {
            let why = table.unwrap_err();
            assert!(
                why.contains("`b`") && why.contains(&format!("the {most} that")),
                "{why}"
            );
        }
        assert!(table("limit = 10\nper = \"1s\"\ncosts = { a = 10 }").is_ok());
        assert!(table("").is_err());
    }
}
