//! Attachments, one by one, in a topology that is owned by single calls.

use crate::{
    Result,
    call::{change, present, wait},
    change::Change,
    client::Client,
    v1,
};

impl Client {
    /// Plugs an interface into a bridge or onto a device, in a topology of single calls, which is made if it is not there; an
    /// equal one succeeds. Returns it with its effective values.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) with every violation;
    /// [`Error::is_already_exists`](crate::Error::is_already_exists) naming the fields that differ;
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an apply owns the topology;
    /// [`Error::is_not_found`](crate::Error::is_not_found) where there is no such bridge;
    /// [`Error::is_exhausted`](crate::Error::is_exhausted) where bridge or address range are full;
    /// [`Error::is_denied`](crate::Error::is_denied) for a device that is not shared;
    /// [`Error::is_deadline`](crate::Error::is_deadline) with `.until_ready()`: what was asked stays;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn attach(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        attachment: impl Into<v1::Attachment>,
    ) -> Change<v1::AttachRequest> {
        let (namespace, topology, attachment) = (namespace.into(), topology.into(), Some(attachment.into()));
        Change::new(self, v1::AttachRequest { namespace, topology, attachment, ..Default::default() })
    }

    /// An attachment of any topology, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found).
    pub async fn get_attachment(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<v1::Attachment> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        let request = self.request(v1::GetAttachmentRequest { namespace, topology, name });
        present(self.answer(self.attachments().get_attachment(request)).await?.attachment, "attachment")
    }

    /// The attachments of one topology, or (`None`) of all of a namespace, by topology and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where the namespace or the topology is no name.
    pub async fn list_attachments(
        &self,
        namespace: impl Into<String>,
        topology: Option<&str>,
    ) -> Result<Vec<v1::list_attachments_response::Item>> {
        let (namespace, topology) = (namespace.into(), topology.unwrap_or_default().to_owned());
        self.attachments_of(v1::ListAttachmentsRequest { namespace, topology, pod: String::new() }).await
    }

    /// The attachments of one pod in all topologies of its namespace, by topology and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where the namespace is none.
    pub async fn list_pod_attachments(
        &self,
        namespace: impl Into<String>,
        pod: impl Into<String>,
    ) -> Result<Vec<v1::list_attachments_response::Item>> {
        let (namespace, pod) = (namespace.into(), pod.into());
        self.attachments_of(v1::ListAttachmentsRequest { namespace, topology: String::new(), pod }).await
    }

    async fn attachments_of(
        &self,
        request: v1::ListAttachmentsRequest,
    ) -> Result<Vec<v1::list_attachments_response::Item>> {
        Ok(self.answer(self.attachments().list_attachments(self.request(request))).await?.attachments)
    }

    /// Changes a live attachment, whoever owns its topology: `.up(false)` pulls the cable. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found); [`Error::is_precondition`](crate::Error::is_precondition) on a device;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn update_attachment(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::UpdateAttachmentRequest> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        Change::new(self, v1::UpdateAttachmentRequest { namespace, topology, name, ..Default::default() })
    }

    /// Unplugs; an absent one succeeds. The interface is gone and its addresses are free when it answers.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an apply owns the topology;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn detach(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::DetachRequest> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        Change::new(self, v1::DetachRequest { namespace, topology, name, ..Default::default() })
    }
}

change!(AttachRequest, attachments.attach, v1::Attachment, |response| present(response.attachment, "attachment"));
change!(UpdateAttachmentRequest, attachments.update_attachment, v1::Attachment, |response| present(
    response.attachment,
    "attachment"
));
change!(DetachRequest, attachments.detach, (), |_response| Ok(()));
wait!(AttachRequest);
