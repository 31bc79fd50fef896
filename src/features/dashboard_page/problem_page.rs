//! What a person is shown where a page cannot be: what is wrong, what to do, and the id by which the log knows it.

use askama::Template;

use super::look::Frame;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::problem::{Code, ProblemBody};

#[derive(Template)]
#[template(path = "problem.html", config = "src/features/dashboard_page/look/askama.toml")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    detail: String,
    errors: Vec<(String, String)>,
    advice: &'static str,
    request_id: String,
    /// Where to go back to, and what that is.
    home: (&'static str, &'static str),
}

/// The page for a problem.
pub fn problem_page(problem: &ProblemBody, public_url: &PublicUrl) -> Vec<u8> {
    written(problem, public_url, ("/", "Back to the usage"))
}

/// The same for operators.
pub fn operate_problem_page(problem: &ProblemBody, public_url: &PublicUrl) -> Vec<u8> {
    written(problem, public_url, ("/operate", "Back to where operators begin"))
}

fn written(problem: &ProblemBody, public_url: &PublicUrl, home: (&'static str, &'static str)) -> Vec<u8> {
    let named = |pointer: &str| pointer.trim_start_matches(['?', '/']).to_owned();
    let errors = problem.errors.iter().map(|error| (named(&error.pointer), error.detail.clone()));
    let code = Code::ALL.iter().find(|code| code.as_str() == problem.code).copied();
    let page = ProblemPage {
        frame: Frame::open(public_url.path(), problem.title),
        status: problem.status,
        title: problem.title,
        detail: problem.detail.clone(),
        errors: errors.collect(),
        advice: code.map_or("", advice),
        request_id: problem.request_id.to_string(),
        home,
    };
    page.render().unwrap_or_else(|_unwritten| problem.detail.clone()).into_bytes()
}

/// What to do, for who reads a page and sends no JSON.
fn advice(code: Code) -> &'static str {
    match code {
        Code::DatabaseUnavailable => {
            "The database does not answer at the moment. Nothing is lost: whatever was acknowledged is in it. Load the page \
             again in some seconds."
        }
        Code::Invalid | Code::Malformed => "Change the address, or begin again from the first page.",
        Code::Overloaded | Code::DeadlineExceeded | Code::RateLimited => "Load the page again in some seconds.",
        Code::NotFound => "Nothing is here, or it is not yours.",
        _ => "",
    }
}
