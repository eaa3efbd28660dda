"""Networks: recurrent layers, what feeds them and what reads them."""
