"""What moto lacks or gets wrong for the resources Bedplate uses; each service's module has `install(platform)`."""
