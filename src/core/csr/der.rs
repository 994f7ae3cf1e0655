//! The names in a PKCS #10 request (RFC 2986), walked element by element.
//!
//! Go passes over what it does not expect: attributes of another shape, values after the first, fields beyond the last.
//! Others may not, so that each of those is an error here. Signature and key are nobody's names, and are not looked at.

use x509_parser::asn1_rs::{Any, Class, FromDer as _};

use super::{CsrError, CsrNames, MAX_NAMES};

/// `extensionRequest` (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// The same as old versions of Windows wrote it; some CAs heed it, and Go does not.
const MICROSOFT_EXTENSION_REQUEST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0e];
/// `subjectAltName` (RFC 5280 §4.2.1.6).
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `commonName` (RFC 5280 appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Universal tags.
mod tag {
    pub(super) const BOOLEAN: u32 = 1;
    pub(super) const INTEGER: u32 = 2;
    pub(super) const BIT_STRING: u32 = 3;
    pub(super) const OCTET_STRING: u32 = 4;
    pub(super) const OID: u32 = 6;
    pub(super) const UTF8: u32 = 12;
    pub(super) const SEQUENCE: u32 = 16;
    pub(super) const SET: u32 = 17;
    pub(super) const NUMERIC: u32 = 18;
    pub(super) const PRINTABLE: u32 = 19;
    pub(super) const T61: u32 = 20;
    pub(super) const IA5: u32 = 22;
    pub(super) const BMP: u32 = 30;
}

/// What follows within a constructed element.
struct Elements<'a>(&'a [u8]);

/// The names of a request.
pub(super) fn names(request: &[u8]) -> Result<CsrNames, CsrError> {
    let mut all = Elements(request);
    let mut request = all.sequence()?;
    all.end("there is more after the request")?;
    let mut info = request.sequence()?;
    request.constructed(Class::Universal, tag::SEQUENCE)?;
    request.primitive(tag::BIT_STRING)?;
    request.end("the request has more fields than there are")?;
    info.primitive(tag::INTEGER)?;
    let subject = info.sequence()?;
    info.constructed(Class::Universal, tag::SEQUENCE)?;
    let attributes = Elements(info.constructed(Class::ContextSpecific, 0)?);
    info.end("the request has more fields than there are")?;

    let mut found = CsrNames::default();
    common_names(subject, &mut found)?;
    let mut seen = Vec::new();
    walk(attributes, |attribute| attribute_of(attribute, &mut seen, &mut found))?;
    Ok(found)
}

/// Does something with each element.
fn walk<'a>(mut all: Elements<'a>, mut each: impl FnMut(Any<'a>) -> Result<(), CsrError>) -> Result<(), CsrError> {
    while !all.0.is_empty() {
        each(all.any()?)?;
    }
    Ok(())
}

/// Every common name of the subject, of whichever of its sets.
fn common_names(subject: Elements<'_>, found: &mut CsrNames) -> Result<(), CsrError> {
    walk(subject, |set| {
        walk(Elements(contents(&set, Class::Universal, tag::SET)?), |pair| {
            let mut pair = Elements(contents(&pair, Class::Universal, tag::SEQUENCE)?);
            let (kind, value) = (pair.oid()?, pair.any()?);
            pair.end("a part of the subject has more than a value")?;
            if kind == COMMON_NAME {
                found.add_common(&text(&value)?);
            }
            Ok(())
        })
    })
}

/// The text of a common name.
fn text(value: &Any<'_>) -> Result<String, CsrError> {
    let header = &value.header;
    if header.class() != Class::Universal || header.is_constructed() {
        return Err(CsrError::Ambiguous("its common name is no text"));
    }
    match header.tag().0 {
        tag::UTF8 | tag::NUMERIC | tag::PRINTABLE | tag::IA5 => {
            std::str::from_utf8(value.data).map(str::to_owned).map_err(|_| CsrError::Malformed)
        }
        // Whatever else it may be, its ASCII is ASCII.
        tag::T61 => Ok(value.data.iter().copied().map(char::from).collect()),
        tag::BMP => {
            let units = value.data.strip_suffix(&[0, 0]).unwrap_or(value.data).chunks_exact(2);
            if !units.remainder().is_empty() {
                return Err(CsrError::Malformed);
            }
            let units = units.filter_map(|unit| Some(u16::from_be_bytes(unit.try_into().ok()?)));
            char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| CsrError::Malformed)
        }
        _ => Err(CsrError::Ambiguous("its common name is of a kind that not everybody reads")),
    }
}

/// One attribute. `seen`: the extensions that were asked for so far.
fn attribute_of<'a>(attribute: Any<'a>, seen: &mut Vec<&'a [u8]>, found: &mut CsrNames) -> Result<(), CsrError> {
    let shape = |_| CsrError::Ambiguous("one of its attributes is not an attribute");
    let mut fields = Elements(contents(&attribute, Class::Universal, tag::SEQUENCE).map_err(shape)?);
    let kind = fields.oid().map_err(shape)?;
    let mut values = Elements(fields.constructed(Class::Universal, tag::SET).map_err(shape)?);
    fields.end("an attribute has more fields than there are")?;
    if kind == MICROSOFT_EXTENSION_REQUEST {
        return Err(CsrError::Ambiguous("it asks for extensions in a way that not everybody reads"));
    }
    if kind != EXTENSION_REQUEST {
        return Ok(());
    }
    let extensions = values.sequence().map_err(shape)?;
    values.end("an attribute has several values")?;
    walk(extensions, |extension| {
        let mut extension = Elements(contents(&extension, Class::Universal, tag::SEQUENCE)?);
        let (kind, mut value) = (extension.oid()?, extension.any()?);
        if value.header.class() == Class::Universal && value.header.tag().0 == tag::BOOLEAN {
            value = extension.any()?;
        }
        extension.end("an extension has more fields than there are")?;
        if seen.contains(&kind) {
            return Err(CsrError::Ambiguous("it asks for an extension twice"));
        }
        // Far more than there are kinds of extensions; looking through them stays cheap.
        if seen.len() >= MAX_NAMES {
            return Err(CsrError::TooLarge);
        }
        seen.push(kind);
        let value = leaf(&value, Class::Universal, tag::OCTET_STRING)?;
        if kind == ALTERNATIVE_NAME { alternative_names(value, found) } else { Ok(()) }
    })
}

/// The names of a `subjectAltName`.
fn alternative_names(value: &[u8], found: &mut CsrNames) -> Result<(), CsrError> {
    let mut all = Elements(value);
    let names = all.sequence()?;
    all.end("there is more after its names")?;
    walk(names, |name| {
        if found.count() >= MAX_NAMES {
            return Err(CsrError::TooLarge);
        }
        let header = &name.header;
        match (header.class(), header.is_constructed(), header.tag().0) {
            (Class::ContextSpecific, false, 2) if name.data.is_ascii() => {
                found.add(std::str::from_utf8(name.data).map_err(|_| CsrError::Malformed)?);
            }
            // E-mail address, URI, IP address, registered OID; another kind of name, X.400, directory and EDI.
            (Class::ContextSpecific, false, 1 | 6 | 7 | 8) | (Class::ContextSpecific, true, 0 | 3 | 4 | 5) => {
                found.others = true;
            }
            _ => return Err(CsrError::Ambiguous("one of its names is of no kind that there is")),
        }
        Ok(())
    })
}

/// What a constructed element of that tag holds.
fn contents<'a>(element: &Any<'a>, class: Class, tag: u32) -> Result<&'a [u8], CsrError> {
    let header = &element.header;
    let fits = header.class() == class && header.tag().0 == tag && header.is_constructed();
    if fits { Ok(element.data) } else { Err(CsrError::Malformed) }
}

/// What a primitive element of that tag holds.
fn leaf<'a>(element: &Any<'a>, class: Class, tag: u32) -> Result<&'a [u8], CsrError> {
    let header = &element.header;
    let fits = header.class() == class && header.tag().0 == tag && header.is_primitive();
    if fits { Ok(element.data) } else { Err(CsrError::Malformed) }
}

// === impl Elements ===

impl<'a> Elements<'a> {
    fn any(&mut self) -> Result<Any<'a>, CsrError> {
        let (rest, any) = Any::from_der(self.0).map_err(|_| CsrError::Malformed)?;
        self.0 = rest;
        Ok(any)
    }

    fn constructed(&mut self, class: Class, tag: u32) -> Result<&'a [u8], CsrError> {
        contents(&self.any()?, class, tag)
    }

    fn sequence(&mut self) -> Result<Self, CsrError> {
        self.constructed(Class::Universal, tag::SEQUENCE).map(Elements)
    }

    fn primitive(&mut self, tag: u32) -> Result<&'a [u8], CsrError> {
        leaf(&self.any()?, Class::Universal, tag)
    }

    /// An object identifier, as its octets: those of one and the same are always the same.
    fn oid(&mut self) -> Result<&'a [u8], CsrError> {
        let octets = self.primitive(tag::OID)?;
        let starts = std::iter::once(true).chain(octets.iter().map(|octet| octet & 0x80 == 0));
        let padded = octets.iter().zip(starts).any(|(octet, first)| first && *octet == 0x80);
        let whole = octets.last().is_some_and(|octet| octet & 0x80 == 0);
        if whole && !padded { Ok(octets) } else { Err(CsrError::Malformed) }
    }

    fn end(&self, otherwise: &'static str) -> Result<(), CsrError> {
        if self.0.is_empty() { Ok(()) } else { Err(CsrError::Ambiguous(otherwise)) }
    }
}
