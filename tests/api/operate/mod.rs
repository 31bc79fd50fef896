//! The pages of operators: who is let in, what they see, and what their buttons do and do not do.

mod first_screen;
mod hostile;
mod jobs;
mod routes;
mod sessions;

use crate::dashboard_page::Browser;
pub use crate::dashboard_page::between;
use crate::support::{TestApp, TestUser};

impl Browser {
    /// One that is signed in as an operator.
    pub async fn operating(app: &TestApp, user: &TestUser) -> Self {
        let mut browser = Self::new(app);
        browser.post("/operate/sign-in", &[("token", &user.operator)]).await.leads_to("/operate");
        browser
    }
}

/// The fields of the form that goes to a path, as a browser would send them.
#[track_caller]
pub fn fields_of(page: &str, path: &str) -> Vec<(String, String)> {
    let form = between(page, &format!("action=\"{path}\""), "</form>");
    let inputs = form.split("<input ").skip(1).map(|input| input.split('>').next().unwrap());
    let named = inputs.filter(|input| input.contains("name=\""));
    let value =
        |input: &str| if input.contains("value=\"") { plain(between(input, "value=\"", "\"")) } else { String::new() };
    named.map(|input| (between(input, "name=\"", "\"").to_owned(), value(input))).collect()
}

/// Text without the references that HTML needs.
pub fn plain(text: &str) -> String {
    let named = text.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'");
    named.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#38;", "&").replace("&amp;", "&")
}

/// The same as a form is sent.
pub fn sent(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
