//! Links, one by one, in a topology that is owned by single calls.

use crate::{
    Result,
    call::{change, present, wait},
    change::Change,
    client::Client,
    v1,
};

impl Client {
    /// Makes a link in a topology of single calls, which is made if it is not there; an equal one succeeds. Returns it with
    /// its effective values.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) with every violation;
    /// [`Error::is_already_exists`](crate::Error::is_already_exists) naming the fields that differ;
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an apply owns the topology;
    /// [`Error::is_deadline`](crate::Error::is_deadline) with `.until_ready()`: what was asked stays;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn create_link(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        link: impl Into<v1::Link>,
    ) -> Change<v1::CreateLinkRequest> {
        let (namespace, topology, link) = (namespace.into(), topology.into(), Some(link.into()));
        Change::new(self, v1::CreateLinkRequest { namespace, topology, link, ..Default::default() })
    }

    /// A link of any topology, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found).
    pub async fn get_link(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<v1::Link> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        let request = self.request(v1::GetLinkRequest { namespace, topology, name });
        present(self.answer(self.links().get_link(request)).await?.link, "link")
    }

    /// The links of one topology, or (`None`) of all of a namespace, by topology and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where the namespace or the topology is no name.
    pub async fn list_links(
        &self,
        namespace: impl Into<String>,
        topology: Option<&str>,
    ) -> Result<Vec<v1::list_links_response::Item>> {
        let (namespace, topology) = (namespace.into(), topology.unwrap_or_default().to_owned());
        let request = self.request(v1::ListLinksRequest { namespace, topology });
        Ok(self.answer(self.links().list_links(request)).await?.links)
    }

    /// Changes a live link, whoever owns its topology: `.up(false)` pulls the cable. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found); [`Error::is_precondition`](crate::Error::is_precondition) on a direct
    /// link;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn update_link(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::UpdateLinkRequest> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        Change::new(self, v1::UpdateLinkRequest { namespace, topology, name, ..Default::default() })
    }

    /// Removes a link; an absent one succeeds. Both interfaces are gone when it answers.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an apply owns the topology;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn delete_link(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::DeleteLinkRequest> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        Change::new(self, v1::DeleteLinkRequest { namespace, topology, name, ..Default::default() })
    }
}

change!(CreateLinkRequest, links.create_link, v1::Link, |response| present(response.link, "link"));
change!(UpdateLinkRequest, links.update_link, v1::Link, |response| present(response.link, "link"));
change!(DeleteLinkRequest, links.delete_link, (), |_response| Ok(()));
wait!(CreateLinkRequest);
