//! Lists, page by page: a list that is asked for with a limit alone is its first page, and nothing says so but a token.

use kube::{
    Api, Result,
    api::{ListParams, ObjectList},
};
use serde::de::DeserializeOwned;

/// How many objects a page asks for.
pub const PAGE: u32 = 500;

/// All objects that fit.
///
/// # Errors
/// As of the first page that cannot be read.
pub async fn all<K>(api: &Api<K>, fitting: &ListParams) -> Result<Vec<K>>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    pages(fitting, |params| async move { api.list(&params).await }).await
}

/// All pages together. `page` asks for one.
///
/// # Errors
/// As of the first page that cannot be read.
pub async fn pages<T, F>(fitting: &ListParams, mut page: impl FnMut(ListParams) -> F) -> Result<Vec<T>>
where
    T: Clone,
    F: Future<Output = Result<ObjectList<T>>>,
{
    let mut all = Vec::new();
    let mut params = fitting.clone().limit(PAGE);
    loop {
        let ObjectList { metadata, items, .. } = page(params).await?;
        all.extend(items);
        let Some(next) = metadata.continue_.filter(|next| !next.is_empty()) else { return Ok(all) };
        params = fitting.clone().limit(PAGE).continue_token(&next);
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ListMeta;

    use super::*;

    #[tokio::test]
    async fn every_page_is_asked_for_and_with_the_same_selector() {
        let mut asked = Vec::new();
        let fitting = ListParams::default().labels("a=b");
        let answers = [("1", vec![1, 2]), ("2", vec![]), ("", vec![3])];
        let mut answers = answers.into_iter();
        let all = pages(&fitting, |params| {
            asked.push((params.label_selector, params.limit, params.continue_token));
            let (next, items) = answers.next().unwrap();
            let metadata = ListMeta { continue_: Some(next.to_owned()), ..ListMeta::default() };
            async move { Ok(ObjectList { types: Default::default(), metadata, items }) }
        });
        assert_eq!(all.await.unwrap(), [1, 2, 3]);
        let with = |token: Option<&str>| (Some("a=b".to_owned()), Some(PAGE), token.map(str::to_owned));
        assert_eq!(asked, [with(None), with(Some("1")), with(Some("2"))]);
    }
}
