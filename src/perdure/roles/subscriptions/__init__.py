"""Subscriptions: messages of topics that exist already become starts and events."""

from perdure.roles.subscriptions.mapping import Mapped, Misfit, dead_letter_of, mapped
from perdure.roles.subscriptions.schemas import WriterSchemas
from perdure.roles.subscriptions.service import SubscriberService
from perdure.roles.subscriptions.settings import SubscriberSettings, SubscriberStats
from perdure.roles.subscriptions.subscription import Subscription, SubscriptionWrong, subscription_of

__all__ = [
    "Mapped", "Misfit", "SubscriberService", "SubscriberSettings", "SubscriberStats", "Subscription", "SubscriptionWrong",
    "WriterSchemas", "dead_letter_of", "mapped", "subscription_of",
]  # fmt: skip
