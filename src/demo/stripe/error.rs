//! What Stripe answers when it will not do something: a status, a type, a code, words and the parameter at fault.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct Error {
    /// The HTTP status.
    pub status: StatusCode,
    body: Value,
}

impl Error {
    fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Error {
        Error { status, body: json!({ "type": kind, "message": message.into() }) }
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Error {
        self.body[field] = value.into();
        self
    }

    /// A parameter with a value that cannot be taken.
    pub fn bad(parameter: &str, message: impl Into<String>) -> Error {
        let error = Error::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        if parameter.is_empty() { error } else { error.with("param", parameter) }
    }

    /// The same, with one of Stripe's error codes.
    pub fn coded(code: &str, parameter: &str, message: impl Into<String>) -> Error {
        let doc = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        Error::bad(parameter, message).with("code", code).with("doc_url", doc)
    }

    /// Parameters that the endpoint does not take.
    pub fn unknown_parameters(names: &[String]) -> Error {
        let plural = if names.len() == 1 { "" } else { "s" };
        let message = format!("Received unknown parameter{plural}: {}", names.join(", "));
        Error::coded("parameter_unknown", names.first().map_or("", String::as_str), message)
    }

    /// A parameter that has to be there.
    pub fn missing(parameter: &str) -> Error {
        Error::coded("parameter_missing", parameter, format!("Missing required param: {parameter}."))
    }

    /// An empty value where nothing can be unset.
    pub fn empty(parameter: &str) -> Error {
        let message = format!(
            "You passed an empty string for '{parameter}'. We assume empty values are an attempt to unset a parameter; \
             however '{parameter}' cannot be unset. You should remove '{parameter}' from your request or supply a \
             non-empty value."
        );
        Error::coded("parameter_invalid_empty", parameter, message)
    }

    /// Something that is not a whole number.
    pub fn not_an_integer(parameter: &str, text: &str) -> Error {
        Error::coded("parameter_invalid_integer", parameter, format!("Invalid integer: {text}"))
    }

    /// No object of this kind with this id.
    pub fn no_such(kind: &str, id: &str, parameter: &str) -> Error {
        let mut error = Error::coded("resource_missing", parameter, format!("No such {kind}: '{id}'"));
        error.status = StatusCode::NOT_FOUND;
        error
    }

    /// A key that is none, or one of a real account.
    pub fn unauthorized(message: &str) -> Error {
        Error::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
    }

    /// An address that is not one of the API's.
    pub fn no_such_route(method: &str, path: &str) -> Error {
        let message = format!("Unrecognized request URL ({method}: {path}). The stand-in does not play this endpoint.");
        Error::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    /// A key for an idempotent request, used again for another request.
    pub fn key_reused(key: &str) -> Error {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        );
        Error::new(StatusCode::BAD_REQUEST, "idempotency_error", message)
    }

    /// A card that was declined.
    pub fn declined(charge: &str, decline_code: &str) -> Error {
        let mut error = Error::coded("card_declined", "", "Your card was declined.")
            .with("type", "card_error")
            .with("decline_code", decline_code)
            .with("charge", charge);
        error.status = StatusCode::PAYMENT_REQUIRED;
        error
    }

    /// A fault that a test asked for: Stripe's own trouble, or too many requests.
    pub fn fault(status: StatusCode) -> Error {
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Error::new(status, "rate_limit_error", "Request rate limit exceeded.").with("code", "rate_limit");
        }
        Error::new(status, "api_error", "Sorry! There was an error while talking to one of our backends.")
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({ "error": self.body })
    }
}
