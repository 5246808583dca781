//! Queries into requests: as few and as narrow as Marathon's two filters allow.

use crate::model::policy::{LabelSelector, LabelTerm};
use crate::ports::cluster::Query;
use std::collections::BTreeSet;

/// Most list requests in one look. More queries than this are asked for with fewer, wider requests: one at
/// a time they would take longer than the wider answer.
const MOST: usize = 8;
/// Longest text of one label condition, so that no address gets longer than Marathon's 8 KiB.
const LONGEST: usize = 1500;

/// One `GET /v2/apps`, by what it filters on. It may bring more than was asked for, never less.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    terms: Vec<LabelTerm>,
    id: Option<String>,
}

impl Ask {
    fn new(query: &Query) -> Self {
        let terms = query.selector.iter().flat_map(|s| &s.terms);
        let id = query
            .ids
            .iter()
            .map(|id| id.longest_part())
            .max_by_key(|part| part.len());
        Self {
            terms: terms.filter_map(asked).collect(),
            id: id.filter(|part| part.len() > 1).map(str::to_owned),
        }
    }

    /// The value of `label=`.
    pub fn label(&self) -> Option<String> {
        let terms = self.terms.clone();
        (!terms.is_empty()).then(|| LabelSelector { terms }.to_string())
    }

    /// The value of `id=`; Marathon takes it as a part of the id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the answer to this request has everything in it that `other` would bring.
    fn covers(&self, other: &Self) -> bool {
        self.terms.iter().all(|term| other.terms.contains(term))
            && self
                .id
                .as_ref()
                .is_none_or(|part| other.id.as_ref().is_some_and(|id| id.contains(part.as_str())))
    }
}

/// The requests that together bring everything the queries ask for.
pub(super) fn asks(queries: &[Query]) -> Vec<Ask> {
    let narrow = widest(queries.iter().map(Ask::new));
    if narrow.len() <= MOST {
        return narrow;
    }
    let wider = widest(narrow.into_iter().map(|ask| Ask { id: None, ..ask }));
    if wider.len() <= MOST {
        return wider;
    }
    vec![Ask {
        terms: vec![],
        id: None,
    }]
}

/// Leaves out every request whose answer another one brings as well.
fn widest(asks: impl Iterator<Item = Ask>) -> Vec<Ask> {
    let mut left: Vec<Ask> = vec![];
    for ask in asks {
        if !left.iter().any(|other| other.covers(&ask)) {
            left.retain(|other| !ask.covers(other));
            left.push(ask);
        }
    }
    left
}

/// A term as Marathon can be asked for it: the same or a weaker one, or `None` if there is none. Its
/// grammar has no empty words and no line ends (`LabelSelectorParsers.scala`).
fn asked(term: &LabelTerm) -> Option<LabelTerm> {
    let sayable = |word: &String| {
        !word.is_empty() && !word.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    };
    let (LabelTerm::Exists(key) | LabelTerm::In(key, _) | LabelTerm::NotIn(key, _)) = term;
    if !sayable(key) {
        return None;
    }
    let all = |values: &BTreeSet<String>| {
        let length: usize = values.iter().map(|value| 2 * value.len() + 1).sum();
        !values.is_empty() && values.iter().all(sayable) && length <= LONGEST
    };
    match term {
        LabelTerm::In(_, values) | LabelTerm::NotIn(_, values) if !all(values) => {
            Some(LabelTerm::Exists(key.clone()))
        }
        term => Some(term.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::AppPattern;

    fn is(key: &str, value: &str) -> LabelTerm {
        LabelTerm::In(key.into(), BTreeSet::from([value.into()]))
    }

    fn query(terms: &[LabelTerm], ids: &[&str]) -> Query {
        Query {
            selector: (!terms.is_empty()).then(|| LabelSelector {
                terms: terms.to_vec(),
            }),
            ids: ids.iter().map(|id| AppPattern((*id).into())).collect(),
        }
    }

    /// The requests for some queries, each as `label|id`.
    #[track_caller]
    fn check(queries: &[Query], expected: &[&str]) {
        let said: Vec<_> = asks(queries)
            .iter()
            .map(|ask| format!("{}|{}", ask.label().unwrap_or_default(), ask.id().unwrap_or("")))
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_request_asks_for_labels_and_for_the_longest_part_of_the_id() {
        check(&[], &[]);
        check(&[Query::all()], &["|"]);
        check(
            &[query(&[is("chaos", "opt-in")], &["/shop/**"])],
            &["chaos==opt-in|/shop"],
        );
        check(&[query(&[], &["/shop/**", "/shop/cart"])], &["|/shop/cart"]);
        check(&[query(&[is("tier", "web")], &["/**"])], &["tier==web|"]);
    }

    #[test]
    fn what_another_request_brings_is_not_asked_for_again() {
        let shop = query(&[], &["/shop/**"]);
        check(&[shop.clone(), shop.clone()], &["|/shop"]);
        check(
            &[query(&[is("a", "b")], &["/shop/cart"]), shop.clone()],
            &["|/shop"],
        );
        check(&[shop.clone(), query(&[], &["/pay/**"])], &["|/shop", "|/pay"]);
        check(&[shop, Query::all()], &["|"]);
        check(
            &[query(&[is("a", "b")], &[]), query(&[is("a", "c")], &[])],
            &["a==b|", "a==c|"],
        );
    }

    #[test]
    fn many_queries_become_few_wide_requests() {
        let many = |terms: &[LabelTerm]| -> Vec<Query> {
            (0..=MOST)
                .map(|n| query(terms, &[&format!("/team-{n}/**")]))
                .collect()
        };
        check(&many(&[is("chaos", "opt-in")]), &["chaos==opt-in|"]);
        check(&many(&[]), &["|"]);
        let strangers: Vec<_> = (0..=MOST)
            .map(|n| query(&[is("k", &n.to_string())], &[]))
            .collect();
        check(&strangers, &["|"]);
    }

    #[test]
    fn what_marathons_grammar_cannot_say_is_asked_for_more_widely() {
        check(&[query(&[is("chaos", "")], &[])], &["chaos|"]);
        check(&[query(&[is("chaos", "a\nb"), is("", "x")], &[])], &["chaos|"]);
        check(&[query(&[is("a b", "c,d")], &[])], &["a\\ b==c\\,d|"]);
        let long: BTreeSet<String> = (0..1000).map(|n| format!("value-{n}")).collect();
        check(&[query(&[LabelTerm::NotIn("k".into(), long)], &[])], &["k|"]);
    }
}
