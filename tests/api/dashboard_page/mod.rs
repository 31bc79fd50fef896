//! The page: signing in, what is shown, and what nobody may do.

mod amounts;
mod deleting;
mod hostile;
mod hours;
mod merging;
mod naming;
mod plans;
mod receipts;
mod sessions;
mod settings;
mod usage;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};

use crate::support::{TestApp, TestUser};

/// A browser: it keeps one cookie, says where its forms come from, and follows nothing by itself.
pub struct Browser {
    client: Client,
    url: String,
    cookie: Option<String>,
    bearer: Option<String>,
}

/// A page that a browser was shown.
#[derive(Debug)]
pub struct Shown {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Shown {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts that it is a page, with what every page says to browsers, and returns its text.
    #[track_caller]
    pub fn page(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.header("content-type").starts_with("text/html"), "{:?}", self.headers);
        let policy = self.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(self.header(name), value, "{name}");
        }
        assert!(self.header("permissions-policy").contains("camera=()"));
        assert!(!self.text.contains(" style=") && !self.text.contains("<style") && !self.text.contains("onclick"));
        &self.text
    }

    /// Asserts that it leads to a path.
    #[track_caller]
    pub fn leads_to(&self, path: &str) {
        assert_eq!((self.status, self.header("location")), (303, path), "{}", self.text);
    }
}

impl Browser {
    /// One that is not signed in.
    pub fn new(app: &TestApp) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, url: app.url.clone(), cookie: None, bearer: None }
    }

    /// One that is signed in by a viewer token.
    pub async fn signed_in(app: &TestApp, user: &TestUser) -> Self {
        let mut browser = Self::new(app);
        browser.post("/sign-in", &[("token", &user.viewer)]).await.leads_to("/");
        browser
    }

    /// The cookie that it keeps.
    pub fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap_or_default()
    }

    /// The same with another cookie.
    pub fn with_cookie(&self, cookie: &str) -> Self {
        Self { client: self.client.clone(), url: self.url.clone(), cookie: Some(cookie.to_owned()), bearer: None }
    }

    /// The same with a bearer token besides, which no browser sends by itself.
    pub fn with_bearer(self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self }
    }

    /// Goes to a path.
    pub async fn get(&mut self, path: &str) -> Shown {
        self.send(Method::GET, path, None, &[]).await
    }

    /// Sends a form from a page of the same server.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        self.send(Method::POST, path, Some(fields), &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form with other headers.
    pub async fn post_saying(&mut self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Shown {
        self.send(Method::POST, path, Some(fields), headers).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: Option<&[(&str, &str)]>,
        headers: &[(&str, &str)],
    ) -> Shown {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        if let Some(fields) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(set) = headers.get("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        Shown { status, headers, text: response.text().await.unwrap() }
    }
}

/// What stands between two texts.
#[track_caller]
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {text}")).split(after).next().unwrap()
}

/// A page's text as a reader sees it.
pub fn unescaped(page: &str) -> String {
    let signs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    signs.iter().fold(page.to_owned(), |text, (written, sign)| text.replace(written, sign))
}

/// The numbers of a page, by their digits: what stands in `<data value="…">`.
pub fn numbers(page: &str) -> Vec<u128> {
    let values = page.split("<data value=\"").skip(1);
    values.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// The amounts of a page, as the API writes them: what stands in `<data class="usd" value="…">`.
pub fn amounts(page: &str) -> Vec<&str> {
    let values = page.split("<data class=\"usd\" value=\"").skip(1);
    values.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The rows of the table behind a heading or a summary, without their head.
pub fn rows_behind<'a>(page: &'a str, words: &str) -> Vec<&'a str> {
    let behind = page.split_once(words).unwrap_or_else(|| panic!("{words} is not in {page}")).1;
    let body = behind.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    body.split("<tr>").skip(1).collect()
}
