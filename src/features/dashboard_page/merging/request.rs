//! What the forms of merges say.

use uuid::Uuid;

use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::values::uuid;
use crate::kernel::problem::Problem;

/// Two devices, what decides where they differ, and the plan that this one takes the place of.
#[derive(Debug, PartialEq, Eq)]
pub struct MergeWish {
    /// As the API takes it.
    pub order: Vec<(String, String)>,
    /// A plan that is cancelled once this one is made, and its version.
    pub instead_of: Option<(Uuid, i64)>,
}

/// The devices that the page is to have chosen already.
pub fn chosen(parameters: &[(String, String)]) -> Result<(Option<Uuid>, Option<Uuid>), Problem> {
    let mut fields = FieldReader::of_query(parameters, &["from", "into"], &[]);
    let chosen = (fields.optional_text("from", uuid), fields.optional_text("into", uuid));
    fields.finish(Some(chosen))
}

/// A wish for a plan. What the API reads is not read here. Errors: 422.
pub fn wished(form: &[(String, String)]) -> Result<MergeWish, Problem> {
    let mut fields = FieldReader::of_query(form, &["from", "into", "resolve", "instead_of", "version"], &[]);
    let as_sent = |text: &str| Ok::<_, Broken>(text.to_owned());
    let from = fields.text("from", as_sent);
    let into = fields.text("into", as_sent);
    let resolve = fields.optional_text("resolve", as_sent);
    let instead_of = fields.optional_text("instead_of", uuid).zip(fields.optional_text("version", version));
    let order = from.zip(into).map(|(from, into)| {
        let said = [
            ("action", "merge".to_owned()),
            ("reason", "asked for on the page of settings".to_owned()),
            ("from_device_id", from),
            ("into_device_id", into),
        ];
        let resolve = resolve.map(|resolve| ("resolve", resolve));
        said.into_iter().chain(resolve).map(|(name, value)| (name.to_owned(), value)).collect()
    });
    fields.finish(order.map(|order| MergeWish { order, instead_of }))
}

/// The version that a button was shown with. Errors: 422.
pub fn seen_version(form: &[(String, String)]) -> Result<i64, Problem> {
    let mut fields = FieldReader::of_query(form, &["version"], &[]);
    let version = fields.text("version", version);
    fields.finish(version)
}

fn version(text: &str) -> Result<i64, Broken> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = text.parse().ok().filter(|_| is_number);
    version.ok_or_else(|| ("not_a_version", "Expected the version of a merge.".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";

    fn form(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_wish_becomes_an_order_as_the_api_takes_it() {
        let wish = wished(&form(&format!("from=a&into=b&resolve=sum&instead_of={ID}&version=3"))).unwrap();
        let query =
            "action=merge&reason=asked+for+on+the+page+of+settings&from_device_id=a&into_device_id=b&resolve=sum";
        assert_eq!((wish.order, wish.instead_of), (form(query), Some((ID.parse().unwrap(), 3))));
        assert_eq!(wished(&form("from=a&into=b")).unwrap().order.len(), 4);
        for bad in
            ["from=a", "into=b", "", "from=a&into=b&colour=red", "from=a&into=b&version=x", "from=a&from=b&into=c"]
        {
            assert!(wished(&form(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_digits_and_a_choice_is_an_id() {
        assert_eq!(seen_version(&form("version=12")).unwrap(), 12);
        for bad in ["", "version=", "version=-1", "version=%2B1", "version=1.0", "version=99999999999999999999"] {
            assert!(seen_version(&form(bad)).is_err(), "{bad}");
        }
        assert_eq!(chosen(&form(&format!("from={ID}"))).unwrap(), (Some(ID.parse().unwrap()), None));
        assert!(chosen(&form("into=x")).is_err() && chosen(&form("colour=red")).is_err());
    }
}
