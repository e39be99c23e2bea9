//! What the domain name system says of a sender's domain: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), and whether
//! answers arrive there.

use super::dns::{DnsError, Resolver};
use crate::finding::Finding;

/// Looks the records of a domain up; `selector` is the name of its DKIM key.
pub async fn look(resolver: &Resolver, about: &'static str, domain: &str, selector: Option<&str>) -> Vec<Finding> {
    match records(resolver, about, domain, selector).await {
        Ok(found) => found,
        Err(error) => {
            let mend = "Look at this machine's resolver, or set another as FRIDAY_RESOLVER.";
            vec![Finding::warn(about, format!("{domain}: {error}"), mend)]
        }
    }
}

/// For a machine that cannot ask.
pub fn no_resolver(about: &'static str) -> Finding {
    let mend = "Set FRIDAY_RESOLVER to ADDRESS:53, or look yourself for SPF, DKIM and DMARC of the sender's domain.";
    Finding::warn(about, "this machine names no DNS resolver", mend)
}

async fn records(
    resolver: &Resolver,
    about: &'static str,
    domain: &str,
    selector: Option<&str>,
) -> Result<Vec<Finding>, DnsError> {
    let mut found = Vec::new();
    let spf: Vec<String> = resolver.texts(domain).await?.into_iter().filter(|t| t.starts_with("v=spf1")).collect();
    found.push(match spf.as_slice() {
        [] => Finding::bad(
            about,
            format!("{domain} has no SPF record"),
            format!(
                "Add a TXT record to {domain} as your mail server's operator says, such as \"v=spf1 include:… -all\"."
            ),
        ),
        [one] if one.contains("+all") => {
            Finding::bad(about, format!("the SPF record of {domain} lets everybody send"), "End it with -all.")
        }
        [_] => Finding::ok(about, format!("{domain} has an SPF record")),
        _ => Finding::bad(
            about,
            format!("{domain} has {} SPF records, which counts as none", spf.len()),
            "Make one of them (RFC 7208, 3.2).",
        ),
    });
    found.push(match selector {
        None => Finding::warn(about, format!("DKIM of {domain} was not looked at"), "Set FRIDAY_DKIM_SELECTOR (or say --dkim-selector) to the name that your mail server's operator knows. Or send yourself a test and look for dkim=pass."),
        Some(selector) => {
            let name = format!("{selector}._domainkey.{domain}");
            // An empty p= is a key that was withdrawn (RFC 6376, 3.6.1).
            let has_key = |text: &String| text.split(';').any(|tag| tag.trim().strip_prefix("p=").is_some_and(|key| !key.trim().is_empty()));
            match resolver.texts(&name).await?.iter().any(has_key) {
                true => Finding::ok(about, format!("{name} has a DKIM key")),
                false => Finding::bad(about, format!("{name} has no DKIM key"), "Publish the one that your mail server signs with."),
            }
        }
    });
    found.push(match dmarc(resolver, domain).await? {
        None => Finding::bad(
            about,
            format!("{domain} has no DMARC record"),
            format!(
                "Add a TXT record to _dmarc.{domain}: \"v=DMARC1; p=none\" to begin with. Large receivers ask for one."
            ),
        ),
        Some(record) if record.replace(' ', "").contains(";p=none") => Finding::warn(
            about,
            format!("the DMARC record of {domain} only watches"),
            "When all your mails pass, make it p=quarantine or p=reject: others can write in your name until then.",
        ),
        Some(_) => Finding::ok(about, format!("{domain} has a DMARC record")),
    });
    if resolver.mail_hosts(domain).await? == 0 {
        found.push(Finding::warn(
            about,
            format!("{domain} takes no mail"),
            "Readers answer, and mails come back: give it an MX record.",
        ));
    }
    Ok(found)
}

/// The record of the domain, or of the one above it (RFC 7489, 6.6.3) as far up as two labels.
async fn dmarc(resolver: &Resolver, domain: &str) -> Result<Option<String>, DnsError> {
    let mut name = domain;
    loop {
        let texts = resolver.texts(&format!("_dmarc.{name}")).await?;
        if let Some(record) = texts.into_iter().find(|t| t.starts_with("v=DMARC1")) {
            return Ok(Some(record));
        }
        match name.split_once('.') {
            Some((_, above)) if above.contains('.') => name = above,
            _ => return Ok(None),
        }
    }
}
