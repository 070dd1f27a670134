//! Types of a participant, by reflection.

use orchestrator::participants::DescriptorError;
use tonic::transport::Server;
use tonic_reflection::server::Builder;

use super::{
    raw::Gateway,
    server::{listen, participants, serve},
};

fn builder() -> Builder<'static> {
    Builder::configure().register_encoded_file_descriptor_set(shop_proto::FILE_DESCRIPTOR_SET)
}

#[tokio::test]
async fn both_versions_give_all_types_that_services_need() {
    let v1 = Server::builder().add_service(builder().build_v1().unwrap());
    let v1alpha = Server::builder().add_service(builder().build_v1alpha().unwrap());
    for address in [serve(v1).await, serve(v1alpha).await] {
        let reflected = participants(address).descriptors("inventory").await.unwrap();
        let inquiries = "saga.participant.v1.ParticipantService";
        assert!(reflected.services.iter().any(|it| it == inquiries), "{:?}", reflected.services);
        let service = "shop.inventory.v1.InventoryService";
        let pool = reflected.types.pool_of_method(service, "Reserve").unwrap();
        assert_eq!(pool.get_service_by_name(service).unwrap().methods().len(), 1);
        assert!(pool.get_message_by_name("shop.inventory.v1.ReserveRequest").is_some());
        assert!(reflected.types.missing().is_empty());
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let without = serve(Server::builder().add_service(Gateway)).await;
    let error = participants(without).descriptors("inventory").await.unwrap_err();
    assert!(matches!(error, DescriptorError::Unsupported { .. }), "{error}");

    let (closed, address) = listen().await;
    drop(closed);
    let error = participants(address).descriptors("inventory").await.unwrap_err();
    assert!(matches!(error, DescriptorError::Unreached { .. }), "{error}");
    let error = participants(address).descriptors("payment").await.unwrap_err();
    assert!(matches!(error, DescriptorError::NotConfigured { .. }), "{error}");
}
